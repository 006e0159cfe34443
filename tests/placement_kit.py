"""The smallest pipelines of the kind that KFP compiles, and their placement, for tests of `gitops.placement`."""

from __future__ import annotations

from typing import Any

import yaml

from gitops.compiled import parse_compiled
from gitops.engines import OWN_STEPS, Kubeflow, StepPlacement
from gitops.placement import OwnStep, PlacedPipeline, place_pipeline

PLACEHOLDER = "placeholder"
IMAGE = "registry.example.org/ml/gitops@sha256:" + "a" * 64
OTHER = "registry.example.org/ml/cuda@sha256:" + "b" * 64
OWN = {
    name: OwnStep(command=("python", name), args=("--function_to_execute", name))
    for name in OWN_STEPS
}


def executor(name: str, image: str = PLACEHOLDER, **more: Any) -> dict[str, Any]:
    return {
        "container": {
            "image": image,
            "command": ["python", name],
            "args": ["--function_to_execute", name],
            **more,
        }
    }


def task(component: str, request: Any = "request", **more: Any) -> dict[str, Any]:
    source = {"componentInputParameter": request} if isinstance(request, str) else request
    return {
        "componentRef": {"name": f"comp-{component}"},
        "cachingOptions": {"enableCache": True},
        "inputs": {"parameters": {"request": source} if source else {}},
        **more,
    }


def make_spec(*steps: str) -> dict[str, Any]:
    """Make the smallest spec of the kind that KFP compiles: the given steps, one after the other."""
    return {
        "pipelineInfo": {"name": "experimental"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.16.1",
        "components": {f"comp-{step}": {"executorLabel": f"exec-{step}"} for step in steps},
        "deploymentSpec": {"executors": {f"exec-{step}": executor(step) for step in steps}},
        "root": {"dag": {"tasks": {step: task(step) for step in steps}}},
    }


def kubeflow(**steps: StepPlacement) -> Kubeflow:
    return Kubeflow(
        host="https://kubeflow.example.org",
        namespace="experiments",
        production_namespace="production",
        image=IMAGE,
        steps=tuple(steps.items()),
    )


def place(
    spec: Any, attached: dict[str, Any] | None = None, *, production: bool = False, **steps: Any
) -> PlacedPipeline:
    documents = [spec]
    if attached is not None:
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": attached}}}})
    content = spec if isinstance(spec, bytes) else yaml.safe_dump_all(documents).encode()
    placed = place_pipeline(
        content,
        kubeflow(**steps),
        default_image=PLACEHOLDER,
        own_steps=OWN,
        production=production,
    )
    # What was written is as plain as what is accepted: no aliases, no tags.
    assert parse_compiled(placed.content).spec == placed.spec
    return placed


def container(placed: PlacedPipeline, step: str) -> dict[str, Any]:
    found: dict[str, Any] = placed.spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    return found
