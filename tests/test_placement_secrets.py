"""No stranger's step gets a secret by its name, and none with credentials a forged request."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from gitops.engines import StepPlacement, StepSecret
from gitops.errors import InputError
from tests.placement_kit import OTHER, executor, make_spec, place, task

RELEASE_SECRET = StepSecret(name="release", variables=(("token", "GITOPS_GIT_TOKEN"),))


def imposter(spec: dict[str, Any], **change: Any) -> None:
    spec["deploymentSpec"]["executors"]["exec-prepare"]["container"].update(change)


IMPOSTERS: dict[str, dict[str, Any]] = {
    "other code": {"command": ["sh", "-c", "env"]},
    "more arguments": {"args": ["--function_to_execute", "prepare", "--evil"]},
    "other image": {"image": OTHER},
    "an environment": {"env": [{"name": "PYTHONPATH", "value": "/tmp"}]},
}


@pytest.mark.parametrize("change", IMPOSTERS.values(), ids=IMPOSTERS)
def test_a_name_alone_makes_no_step_of_the_toolkit(change: dict[str, Any]) -> None:
    spec = make_spec("prepare", "fit")
    imposter(spec, **change)
    with pytest.raises(InputError, match="'prepare' is not the toolkit's"):
        place(spec)


@pytest.mark.parametrize("name", ["Release", "release", "_release", "RELEASE-"])
def test_no_spelling_of_a_name_gets_its_secrets(name: str) -> None:
    spec = make_spec("fit")
    spec["deploymentSpec"]["executors"]["exec-fit"] = executor(name, command=["sh", "-c", "env"])
    granted = StepPlacement(secrets=(RELEASE_SECRET,))
    with pytest.raises(InputError, match="'release' is not the toolkit's"):
        place(spec, production=True, release=granted)


def test_a_step_without_a_function_is_known_by_its_component() -> None:
    spec = make_spec("release", "release-2")
    for label in ("exec-release", "exec-release-2"):
        spec["deploymentSpec"]["executors"][label] = executor("x", OTHER, args=["env"])
    with pytest.raises(InputError, match="'release' is not the toolkit's"):
        place(spec, production=True, release=StepPlacement(secrets=(RELEASE_SECRET,)))


@pytest.mark.parametrize("step", ["judge", "release", "rollout"])
def test_an_experiment_cannot_ship(step: str) -> None:
    spec = make_spec("prepare", step)
    with pytest.raises(InputError, match=f"an experiment has the step '{step}'"):
        place(spec)
    assert place(spec, production=True).spec["components"].keys() == spec["components"].keys()


def nested(spec: dict[str, Any], source: Any, **more: Any) -> dict[str, Any]:
    """Put the root's tasks one graph deeper; `source` is what that graph is given as its request."""
    inner = deepcopy(spec)
    inner["components"]["comp-inner"] = {"dag": inner["root"]["dag"]}
    inner["root"] = {"dag": {"tasks": {"inner": task("inner", source, **more)}}}
    return inner


FORGED: dict[str, Any] = {
    "a constant": {"runtimeValue": {"constant": {"origin": "https://evil.example"}}},
    "another step's output": {"taskOutputParameter": {"producerTask": "fit"}},
    "another input": "params",
    "a part of it": {"componentInputParameter": "request", "parameterExpressionSelector": "x"},
    "nothing": None,
    "a list": {"componentInputParameter": ["request"]},
}


@pytest.mark.parametrize("source", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("deep", [False, True])
def test_a_step_with_credentials_takes_the_runs_own_request_only(source: Any, deep: bool) -> None:
    spec = make_spec("prepare", "fit")
    if deep:
        spec = nested(spec, source)
    else:
        spec["root"]["dag"]["tasks"]["prepare"] = task("prepare", source)
    with pytest.raises(InputError, match="'prepare' takes a request that is not the run's own"):
        place(spec)


def test_a_request_that_is_handed_on_is_the_runs_own() -> None:
    place(nested(nested_once := nested(make_spec("prepare"), "request"), "request"))
    place(nested_once)


@pytest.mark.parametrize("source", [{"runtimeValue": {"constant": {}}}, None])
def test_one_forged_use_of_a_nested_pipeline_spoils_it(source: Any) -> None:
    """Left out, it would be the default that the code wrote."""
    spec = nested(make_spec("prepare"), "request")
    spec["root"]["dag"]["tasks"]["again"] = task("inner", source)
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)


def test_a_loop_cannot_stand_in_for_the_request() -> None:
    loop = {"itemInput": "request", "items": {"raw": '[{"origin": "https://evil.example"}]'}}
    with pytest.raises(InputError, match="not the run's own"):
        place(nested(make_spec("prepare"), "request", parameterIterator=loop))


def test_graphs_that_contain_each_other_end() -> None:
    spec = make_spec("prepare")
    for one, other in (("a", "b"), ("b", "a")):
        tasks = {other: task(other), "prepare": task("prepare")}
        spec["components"][f"comp-{one}"] = {"dag": {"tasks": tasks}}
    spec["root"]["dag"]["tasks"]["a"] = task("a", {"runtimeValue": {"constant": {}}})
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)


@pytest.mark.parametrize("source", ["request", "params"])
def test_a_request_is_followed_through_a_thousand_graphs(source: str) -> None:
    spec = make_spec("prepare")
    for depth in range(1000):
        inner = {"inner": task(f"{depth + 1}")} if depth < 999 else {"prepare": task("prepare")}
        spec["components"][f"comp-{depth}"] = {"dag": {"tasks": inner}}
    spec["root"]["dag"]["tasks"] = {"outer": task("0", source)}
    if source == "request":
        place(spec)
        return
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)
