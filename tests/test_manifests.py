"""What kubernetes/ puts on a cluster: it builds, it is valid, and it promises what the guide says."""

from __future__ import annotations

import copy
import ipaddress
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve.models
import kubernetes.client
import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from gitops.adapters.documents import parse_config
from gitops.cli import make_parser
from gitops.engines import OWN_STEPS, Kserve, KserveMode
from gitops.flow.placing import STAGING
from gitops.source import ALLOWED_HOSTS, PRIVATE_HOSTS
from tests.kustomize import Body, build
from tests.test_rbac import of_kind, place

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "kubernetes"
OVERLAYS = KUBERNETES / "overlays"
GUIDE = ROOT / "docs" / "cluster.md"
OLDEST = "1.32"  # that KServe 0.20 runs on
# Namespaces that belong to somebody else.
FOREIGN = {"kubeflow"}
MODELS = {
    "ServingRuntime": "V1alpha1ServingRuntime",
    "ClusterStorageContainer": "V1alpha1ClusterStorageContainer",
}
MODEL_PODS = [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]
KUBECTL = shutil.which("kubectl")


@pytest.fixture(params=["minikube", "production"])
def overlay(request: pytest.FixtureRequest) -> Path:
    return OVERLAYS / str(request.param)


@pytest.fixture
def objects(overlay: Path) -> list[Body]:
    return build(overlay)


def pods(objects: list[Body]) -> Iterator[tuple[str, Body]]:
    """Yield every pod that the manifests describe, as far as they describe it."""
    for each in objects:
        if each["kind"] == "Deployment":
            yield place(each), each["spec"]["template"]["spec"]
        elif each["kind"] == "ServingRuntime":
            yield place(each), each["spec"]
        elif each["kind"] == "ClusterStorageContainer":
            yield place(each), {"containers": [each["spec"]["container"]]}


def containers(objects: list[Body]) -> Iterator[tuple[str, Body, Body]]:
    for name, pod in pods(objects):
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            yield f"{name}/{container['name']}", pod, container


def one(objects: list[Body], kind: str, name: str) -> Body:
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


# It builds


@pytest.mark.skipif(KUBECTL is None, reason="kubectl, which holds the real kustomize, is not here")
def test_kubectl_builds_the_same_objects(overlay: Path) -> None:
    command = (str(KUBECTL), "kustomize", str(overlay))
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    def order(objects: list[Body]) -> list[Body]:
        return sorted(objects, key=lambda each: (each["kind"], place(each)))

    assert order(list(yaml.safe_load_all(done.stdout))) == order(build(overlay))


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("an unknown field", {"commonLabels": {"a": "b"}}, "unknown fields"),
        (
            "an image that nobody uses",
            {"images": [{"name": "x", "newName": "y", "digest": "z"}]},
            "x",
        ),
        (
            "a patch of nothing",
            {"patches": [{"target": {"kind": "Role", "name": "x"}, "patch": "[]"}]},
            "nothing is",
        ),
        ("an object twice", {"resources": ["role.yaml", "role.yaml"]}, "twice"),
    ],
)
def test_a_kustomization_that_means_nothing_is_refused(
    tmp_path: Path, name: str, change: Body, complaint: str
) -> None:
    shutil.copytree(KUBERNETES / "base" / "runner", tmp_path / "runner")
    place = tmp_path / "runner" / "kustomization.yaml"
    place.write_text(yaml.safe_dump(yaml.safe_load(place.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(ValueError, match=complaint):
        build(tmp_path / "runner")


def test_a_patch_whose_place_has_moved_is_refused(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    source = tmp_path / "kubernetes" / "base" / "storage" / "initializer.yaml"
    source.write_text(
        source.read_text("utf-8").replace("    env:\n", "    env:\n      - {name: A, value: b}\n")
    )
    with pytest.raises(ValueError, match="it is 'A'"):
        build(tmp_path / "kubernetes" / "overlays" / "minikube")


# It is valid


def check_core(body: Body) -> None:
    for version in (OLDEST, kubernetes_validate.latest_version()):
        kubernetes_validate.validate(body, version, strict=True)


def check_model(value: Any, kind: str) -> Any:
    """Make the SDK's object of a value, where every key must be one of its own and every type its type."""
    if kind.startswith("list["):
        assert isinstance(value, list), value
        return [check_model(each, kind.removeprefix("list[").removesuffix("]")) for each in value]
    if kind.startswith("dict("):
        assert isinstance(value, dict), value
        inner = kind.removeprefix("dict(").removesuffix(")").split(", ")[1]
        return {key: check_model(each, inner) for key, each in value.items()}
    if kind in {"str", "int", "bool"}:
        assert type(value).__name__ == kind, f"{value!r} is no {kind}"
        return value
    if kind == "object":
        return value
    model: Any = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind)
    names = {wire: name for name, wire in model.attribute_map.items()}
    unknown = set(value) - set(names)
    assert not unknown, f"{kind} has no {sorted(unknown)}"
    given = {
        names[wire]: check_model(each, model.openapi_types[names[wire]])
        for wire, each in value.items()
    }
    return model(**given)


def test_every_object_is_valid(objects: list[Body]) -> None:
    for body in objects:
        if body["kind"] in MODELS:
            assert body["apiVersion"] == "serving.kserve.io/v1alpha1"
            check_model(body, MODELS[body["kind"]])
        else:
            check_core(body)


def test_a_misspelled_field_is_found(objects: list[Body]) -> None:
    deployment = copy.deepcopy(one(objects, "Deployment", "gitops-client"))
    deployment["spec"]["template"]["spec"]["containers"][0]["resorces"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check_core(deployment)
    runtime = copy.deepcopy(one(objects, "ServingRuntime", "gitops-serve"))
    runtime["spec"]["containers"][0]["securityContext"]["runAsNonRot"] = True
    with pytest.raises(AssertionError, match="runAsNonRot"):
        check_model(runtime, MODELS["ServingRuntime"])


def test_every_object_has_a_namespace_that_exists(objects: list[Body]) -> None:
    own = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")}
    used = {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]}
    assert used - FOREIGN == own
    for body in objects:
        assert ("namespace" in body["metadata"]) != (
            body["kind"] in {"Namespace", "ClusterStorageContainer"}
        ), place(body)
        assert body["metadata"]["labels"]["app.kubernetes.io/part-of"] == "gitops"


def test_what_is_referred_to_exists(objects: list[Body]) -> None:
    known = {(each["kind"], place(each)) for each in objects}
    for deployment in of_kind(objects, "Deployment"):
        namespace, pod = deployment["metadata"]["namespace"], deployment["spec"]["template"]["spec"]
        assert ("ServiceAccount", f"{namespace}/{pod['serviceAccountName']}") in known
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", f"{namespace}/{volume['configMap']['name']}") in known
    for ingress in of_kind(objects, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        service = one(objects, "Service", backend["name"])
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    for _name, pod, container in containers(objects):
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes


# It is careful


def test_every_container_is_limited_and_powerless(objects: list[Body]) -> None:
    """The restricted profile of Kubernetes' pod security, and a root file system that is read only."""
    for name, pod, container in containers(objects):
        for part in ("requests", "limits"):
            assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"][part]), name
        context = pod.get("securityContext", {}) | container["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["privileged"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not set(pod) & {"hostNetwork", "hostPID", "hostIPC"}, name
        for volume in pod.get("volumes", ()):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir"}, name


def test_images_are_named_by_digest_and_in_one_place(overlay: Path, objects: list[Body]) -> None:
    content = yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))
    named = {f"{each['newName']}@{each['digest']}" for each in content["images"]}
    used = {container["image"] for _name, _pod, container in containers(objects)}
    assert used == named
    assert all(re.fullmatch(r"[a-z0-9.:/-]+@sha256:[0-9a-f]{64}", image) for image in used)


def test_the_committed_digests_are_nobodys(objects: list[Body]) -> None:
    """Nobody deploys by accident an image that nobody looked at: a pull of zeros fails, and says so."""
    for _name, _pod, container in containers(objects):
        assert container["image"].endswith("@sha256:" + "0" * 64)


def test_the_initializer_runs_the_servers_own_image(objects: list[Body]) -> None:
    runtime = one(objects, "ServingRuntime", "gitops-serve")["spec"]["containers"][0]
    initializer = one(objects, "ClusterStorageContainer", "gitops-fetch")["spec"]["container"]
    assert initializer["image"] == runtime["image"] != "gitops"


def test_secrets_are_named_and_never_written_down(objects: list[Body]) -> None:
    assert not of_kind(objects, "Secret")
    for path in KUBERNETES.rglob("*.y*ml"):
        for body in yaml.safe_load_all(path.read_text("utf-8")):
            assert (body or {}).get("kind") != "Secret", path
    for name, _pod, container in containers(objects):
        for variable in container.get("env", ()):
            if re.search(r"TOKEN|SECRET|PASSWORD|KEY", variable["name"]):
                assert "value" not in variable, f"{name}: {variable['name']}"
                assert variable["valueFrom"]["secretKeyRef"]["key"] == variable["name"]


def test_only_the_initializer_sees_the_secret_that_fetches(objects: list[Body]) -> None:
    for name, _pod, container in containers(objects):
        secrets = {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in container.get("env", ())
            if "valueFrom" in variable
        }
        assert secrets == ({"gitops-fetch"} if name.endswith("/storage-initializer") else set())


def test_every_namespace_of_ours_has_a_profile_limits_and_a_quota(objects: list[Body]) -> None:
    for namespace in of_kind(objects, "Namespace"):
        name, labels = namespace["metadata"]["name"], namespace["metadata"]["labels"]
        level = "restricted" if name == "models" else "baseline"
        assert labels["pod-security.kubernetes.io/enforce"] == level
        assert labels["pod-security.kubernetes.io/warn"] == "restricted"
        present = {each["kind"] for each in objects if each["metadata"].get("namespace") == name}
        assert {"LimitRange", "ResourceQuota", "NetworkPolicy"} <= present


# The network


def policies(objects: list[Body]) -> dict[str, Body]:
    return {place(each): each["spec"] for each in of_kind(objects, "NetworkPolicy")}


def test_everything_is_denied_first(objects: list[Body]) -> None:
    for namespace in of_kind(objects, "Namespace"):
        assert policies(objects)[f"{namespace['metadata']['name']}/default-deny"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }


def test_what_is_allowed_names_its_peers_and_its_ports(objects: list[Body]) -> None:
    """An empty `from`, `to` or `ports` means all of them."""
    for name, spec in policies(objects).items():
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, ()):
                assert direction.capitalize() in spec["policyTypes"], name
                assert set(rule) == {peers, "ports"}, name
                assert rule[peers], name
                assert rule["ports"], name
                assert all(peer.get("namespaceSelector") != {} for peer in rule[peers]), name


def test_pods_reach_the_outside_by_https_and_never_the_metadata_service(
    objects: list[Body],
) -> None:
    wide = 0
    for name, spec in policies(objects).items():
        for rule in spec.get("egress", ()):
            for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
                if ipaddress.ip_network(block["cidr"]).prefixlen > 0:
                    continue
                wide += 1
                excluded = [ipaddress.ip_network(each) for each in block["except"]]
                for address in ("169.254.169.254", "10.96.0.1", "192.168.49.2", "100.100.100.200"):
                    assert any(ipaddress.ip_address(address) in net for net in excluded), name
                assert rule["ports"] == [{"protocol": "TCP", "port": 443}], name
    assert wide


def test_models_are_asked_by_the_gateway_only(overlay: Path, objects: list[Body]) -> None:
    spec = policies(objects)["models/serving"]
    assert spec["podSelector"] == {"matchExpressions": MODEL_PODS}
    named = yaml.safe_dump(spec["ingress"])
    expected = {"envoy-gateway-system", "monitoring"}
    if overlay.name == "production":
        expected |= {"istio-system", "knative-serving"}
    assert expected == set(
        re.findall(r"(?:metadata.name: |- )([a-z]+-?[a-z-]*)$", named, re.MULTILINE)
    )


def test_one_serving_pod_at_a_time_is_drained(objects: list[Body]) -> None:
    spec = one(objects, "PodDisruptionBudget", "models")["spec"]
    assert spec["selector"] == {"matchExpressions": MODEL_PODS}
    assert spec["maxUnavailable"] == 1


# It is what the toolkit says it is


def test_the_server_and_the_initializer_are_commands_of_the_toolkit(objects: list[Body]) -> None:
    runtime = one(objects, "ServingRuntime", "gitops-serve")["spec"]["containers"][0]
    initializer = one(objects, "ClusterStorageContainer", "gitops-fetch")["spec"]["container"]
    assert "args" not in initializer, "KServe's are source and destination"
    serve = [*runtime["command"], *runtime["args"]]
    fetch = [*initializer["command"], f"dvc://git.example.org/a/b@{'0' * 40}/m", "/mnt/models"]
    for program, verb, *rest in (serve, fetch):
        assert program == "gitops"
        parsed = make_parser(verb).parse_args([verb, *rest])
        if verb == "serve":
            assert (parsed.host, parsed.port, parsed.name) == ("0.0.0.0", 8080, "{{.Name}}")
            assert str(parsed.identity) == "/mnt/models/identity.json"
        else:
            assert str(parsed.destination) == "/mnt/models"


def test_the_initializer_writes_below_its_own_folder_only(objects: list[Body]) -> None:
    initializer = one(objects, "ClusterStorageContainer", "gitops-fetch")["spec"]["container"]
    values = {each["name"]: each.get("value") for each in initializer["env"]}
    assert values["TMPDIR"] == values["HOME"] == f"/mnt/models/{STAGING}"
    assert values[ALLOWED_HOSTS]
    assert values[PRIVATE_HOSTS] == ""


def test_a_rendered_service_finds_its_runtime_and_its_account(objects: list[Body]) -> None:
    defaults = Kserve(mode=KserveMode.STANDARD)
    runtime = one(objects, "ServingRuntime", defaults.runtime)
    account = one(objects, "ServiceAccount", defaults.service_account)
    assert runtime["metadata"]["namespace"] == account["metadata"]["namespace"] == "models"
    assert runtime["spec"]["supportedModelFormats"][0]["name"] == "gitops"


def test_the_page_is_the_folder_of_the_page(objects: list[Body]) -> None:
    (config,) = of_kind(objects, "ConfigMap")
    files = {path.name: path for path in (KUBERNETES / "client").iterdir()}
    assert set(config["data"]) == set(files) - {"kustomization.yaml"}
    for name, text in config["data"].items():
        assert text == files[name].read_text("utf-8")


def test_the_pages_template_gets_every_variable_that_it_uses(objects: list[Body]) -> None:
    template = (KUBERNETES / "client" / "nginx.conf.template").read_text("utf-8")
    (container,) = one(objects, "Deployment", "gitops-client")["spec"]["template"]["spec"][
        "containers"
    ]
    given = {each["name"] for each in container["env"] if each["name"].startswith("PAGE_")}
    assert given == set(re.findall(r"\$\{(PAGE_[A-Z_]+)\}", template))


# The guide


def code(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL))


def guide_config() -> Body:
    """Return gitops.yaml of the guide, joined with this repository's own as the guide says."""
    own = yaml.safe_load((ROOT / "gitops.yaml").read_text("utf-8"))
    added = yaml.safe_load(code("yaml"))
    models = {name: body | added["models"].get(name, {}) for name, body in own["models"].items()}
    return {**own, **added, "models": models}


def test_the_guides_configuration_is_read_by_the_toolkit() -> None:
    config = parse_config(yaml.safe_dump(guide_config()).encode())
    assert config.kubeflow is not None
    assert config.kserve is not None
    assert config.kserve.mode is KserveMode.STANDARD
    (fuel,) = (model for model in config.models if model.name == "fuel")
    assert fuel.serve.namespace == "models"
    objects = build(OVERLAYS / "minikube")
    account = one(objects, "ServiceAccount", config.kubeflow.service_account)
    assert account["metadata"]["namespace"] == config.kubeflow.production_namespace == "kubeflow"


def test_the_guide_makes_every_secret_that_anybody_names() -> None:
    made = {
        f"{namespace}/{name}"
        for name, namespace in re.findall(r"create secret generic (\S+) -n (\S+)", code("bash"))
    }
    config = parse_config(yaml.safe_dump(guide_config()).encode())
    assert config.kubeflow is not None
    steps = {
        f"kubeflow/{secret.name}"
        for _step, placement in config.kubeflow.steps
        for secret in placement.secrets
    }
    manifests = {
        f"models/{variable['valueFrom']['secretKeyRef']['name']}"
        for _name, _pod, container in containers(build(OVERLAYS / "minikube"))
        for variable in container.get("env", ())
        if "valueFrom" in variable
    }
    assert made == steps | manifests


def test_only_the_steps_that_push_can_push() -> None:
    config = parse_config(yaml.safe_dump(guide_config()).encode())
    assert config.kubeflow is not None
    seen = {step: {s.name for s in place.secrets} for step, place in config.kubeflow.steps}
    assert {step for step, names in seen.items() if "gitops-release" in names} == {
        "release",
        "rollout",
    }
    assert {step for step, names in seen.items() if "gitops-rollout" in names} == {"rollout"}
    assert set(seen) <= set(OWN_STEPS), "a team's own step gets none"


def test_the_guides_words_are_those_of_the_manifests() -> None:
    text, objects = GUIDE.read_text("utf-8"), build(OVERLAYS / "production")
    for account in of_kind(objects, "ServiceAccount"):
        assert f"`{account['metadata']['name']}`" in text
    for path in re.findall(r"kubernetes/(?:overlays|client|base)[a-z/]*", text):
        assert (ROOT / path).is_dir() or (ROOT / f"{path}.yaml").is_file(), path
    variables = one(objects, "Deployment", "gitops-client")["spec"]["template"]["spec"][
        "containers"
    ]
    (upstream,) = (each["value"] for each in variables[0]["env"] if each["name"] == "PAGE_UPSTREAM")
    assert upstream.partition(".")[0] in text
    verbs = {
        word
        for line in code("bash").splitlines()
        for word in re.findall(r"\bgitops ([a-z]+)", line)
    }
    assert verbs == {"doctor", "run", "status"}
