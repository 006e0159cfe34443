"""The cluster's pipelines compiled by the real KFP as `gitops run` does it, and a team's own, for tests."""

# No postponed annotations here: KFP reads the annotations of components as they are.

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from gitops.adapters.kfp.compilation import make_own_steps, read_compiled, write_compiled
from gitops.engines import IMAGE, Kubeflow, StepPlacement, StepSecret, Toleration
from gitops.flow.engine import clean_environment, run_pipeline
from gitops.placement import PlacedPipeline, place_pipeline

ROOT = Path(__file__).parent.parent
DIGEST = "registry.example.org/ml/gitops@sha256:" + "a" * 64
RELEASE = StepSecret(name="release", variables=(("token", "GITOPS_GIT_TOKEN"), ("user", "USER")))
STORE = StepSecret(name="store", variables=(("key", "AWS_SECRET_ACCESS_KEY"),))


def kubeflow(placements: Mapping[str, StepPlacement]) -> Kubeflow:
    return Kubeflow(
        host="https://kubeflow.example.org",
        namespace="experiments",
        production_namespace="production",
        image=DIGEST,
        steps=tuple(placements.items()),
    )


def place(
    content: bytes, *, production: bool = False, **placements: StepPlacement
) -> PlacedPipeline:
    return place_pipeline(
        content,
        kubeflow(placements),
        default_image=IMAGE,
        own_steps=make_own_steps(),
        production=production,
    )


# Compiling in the engine's process.


def make_request(root: Path, *, production: bool) -> dict[str, Any]:
    def name(file: str, function: str) -> dict[str, str]:
        return {"root": str(root), "file": file, "function": function}

    request: dict[str, Any] = {
        "train": name("pipelines/fuel/pipeline.py", "train"),
        "experimental": name("pipelines/experimental.py", "make_experimental"),
    }
    if production:
        request["production"] = name("pipelines/production.py", "make_production")
    return request


def compile_in(folder: Path, request: dict[str, Any]) -> bytes:
    """Compile as `gitops run` does: in a process of its own, with a clean environment."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = clean_environment({**os.environ, "GITOPS_KFP_TOKEN": "canary"})
    outputs, ran = run_pipeline(
        {**request, "compile": str(folder / "pipeline.yaml")},
        folder,
        folder / "compile.log",
        environ=environ,
    )
    assert outputs == {"compiled": str(folder / "pipeline.yaml")}
    assert ran == ()
    return read_compiled(folder / "pipeline.yaml")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The production pipeline of this repository's fuel model, as it was compiled."""
    return compile_in(tmp_path_factory.mktemp("production"), make_request(ROOT, production=True))


# The form that KFP itself writes.


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]  # kfp ships no types
def fit(text: str) -> str:
    """Stand for a team's training."""
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]  # kfp ships no types
def my_look(text: str) -> str:
    """Stand for a team's second step."""
    return text


Change = Callable[[dsl.PipelineTask], Any]


def compile_with(path: Path, change: Change) -> bytes:
    """Compile `fit`, `my_look`, and `fit` again; `change` is what a team's code does to each `fit`."""

    @dsl.pipeline(name="team")  # type: ignore[untyped-decorator]  # kfp ships no types
    def team(text: str) -> str:
        first = fit(text=text)
        look = my_look(text=first.output)
        last = fit(text=look.output)
        change(first)
        change(last)
        return last.output  # type: ignore[no-any-return]  # a KFP channel

    write_compiled(team, path / "team.yaml")
    return read_compiled(path / "team.yaml")


@cache
def plain(path: Path) -> bytes:
    return compile_with(path, lambda task: None)


PLACED = StepPlacement(
    cpu="1500m",
    memory="4Gi",
    accelerator="nvidia.com/gpu",
    accelerators=2,
    node_selector=(("pool", "train"),),
    tolerations=(
        Toleration(key="gpu", value="yes", effect="NoSchedule"),
        Toleration(key="spot", operator="Exists"),
    ),
    secrets=(STORE, RELEASE),
    retries=3,
)
LIMITED = {"activeDeadlineSeconds": "21600"}
