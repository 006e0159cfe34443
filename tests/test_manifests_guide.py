"""What kubernetes/ holds is what the toolkit and the guide say it is."""

from __future__ import annotations

import re

import yaml

from gitops.adapters.documents import parse_config
from gitops.cli import make_parser
from gitops.engines import OWN_STEPS, Kserve, KserveMode
from gitops.flow.placing import STAGING
from gitops.source import ALLOWED_HOSTS, PRIVATE_HOSTS
from tests.kustomize import Body, build
from tests.manifests_kit import KUBERNETES, OVERLAYS, ROOT, containers, objects, one, overlay
from tests.test_rbac import of_kind

__all__ = ["objects", "overlay"]

GUIDE = ROOT / "docs" / "cluster.md"


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
