"""What kubernetes/ builds for each overlay, and how tests look into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kustomize import Body, build
from tests.test_rbac import of_kind, place

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "kubernetes"
OVERLAYS = KUBERNETES / "overlays"


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
