"""What kubernetes/ puts on a cluster: it builds, and it is valid."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import kserve.models
import kubernetes.client
import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from tests.kustomize import Body, build
from tests.manifests_kit import KUBERNETES, containers, objects, one, overlay
from tests.test_rbac import of_kind, place

__all__ = ["objects", "overlay"]

OLDEST = "1.32"  # that KServe 0.20 runs on
# Namespaces that belong to somebody else.
FOREIGN = {"kubeflow"}
MODELS = {
    "ServingRuntime": "V1alpha1ServingRuntime",
    "ClusterStorageContainer": "V1alpha1ClusterStorageContainer",
}
SAMPLE = Path(__file__).parent / "kustomize_sample"


# It builds


def test_the_sample_is_built_as_kustomize_itself_builds_it() -> None:
    """`expected.yaml` is kustomize's own output, so that these tests need no kubectl."""
    expected = yaml.safe_load_all((SAMPLE / "expected.yaml").read_text("utf-8"))

    def order(objects: list[Body]) -> list[Body]:
        return sorted(objects, key=lambda each: (each["kind"], place(each)))

    assert order(build(SAMPLE)) == order(list(expected))


def test_the_sample_has_every_feature_that_the_manifests_use() -> None:
    assert find_features(KUBERNETES) <= find_features(SAMPLE)


def find_features(folder: Path) -> set[str]:
    """Return the fields of all kustomizations below a folder, and the operations of their patches."""
    found: set[str] = set()
    for file in folder.rglob("kustomization.yaml"):
        content = yaml.safe_load(file.read_text("utf-8"))
        found |= set(content)
        for patch in content.get("patches", ()):
            found |= {f"patch: {step['op']}" for step in yaml.safe_load(patch["patch"])}
    return found


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
