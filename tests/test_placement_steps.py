"""A placement gives each step its image, its resources and its retries, and nothing to any other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gitops.engines import StepPlacement
from gitops.errors import InputError
from tests.placement_kit import IMAGE, OTHER, container, executor, make_spec, place, task


def test_what_is_written_is_what_is_told() -> None:
    spec = make_spec("prepare", "fit")
    placed = place(spec, {"exec-fit": {"imagePullPolicy": "Always"}})
    assert list(yaml.safe_load_all(placed.content)) == [placed.spec, placed.platform]
    assert placed.digest.startswith("sha256:")
    shuffled = {key: spec[key] for key in reversed(spec)}
    assert place(shuffled, {"exec-fit": {"imagePullPolicy": "Always"}}).content == placed.content


def test_each_step_runs_in_the_one_image_or_in_a_pinned_one() -> None:
    spec = make_spec("prepare", "fit", "other")
    spec["deploymentSpec"]["executors"]["exec-other"] = executor("other", OTHER)
    placed = place(spec)
    assert [container(placed, step)["image"] for step in ("prepare", "fit", "other")] == [
        *(IMAGE, IMAGE, OTHER)
    ]


@pytest.mark.parametrize(
    "image", ["python:3.11", "", None, "x@sha256:abc", f"evil\n{OTHER}", f"{OTHER}\n", "{{$.x}}"]
)
def test_an_image_that_can_change_is_refused(image: Any) -> None:
    spec = make_spec("fit")
    spec["deploymentSpec"]["executors"]["exec-fit"] = executor("fit", image)
    with pytest.raises(InputError, match=r"'fit' runs in the image .* not pinned") as error:
        place(spec)
    assert "name@sha256:" in error.value.hint


def test_the_toolkits_steps_are_never_cached_by_kubeflow_and_a_teams_are_as_it_says() -> None:
    placed = place(make_spec("prepare", "fit"))
    tasks = placed.spec["root"]["dag"]["tasks"]
    assert tasks["prepare"]["cachingOptions"] == {}
    assert tasks["fit"]["cachingOptions"] == {"enableCache": True}


def test_a_placement_meets_every_use_of_its_component() -> None:
    spec = make_spec("my-fit", "other")
    spec["components"]["comp-my-fit-2"] = {"executorLabel": "exec-my-fit-2"}
    spec["deploymentSpec"]["executors"]["exec-my-fit"] = executor("my_fit")
    spec["deploymentSpec"]["executors"]["exec-my-fit-2"] = executor("my_fit")
    spec["root"]["dag"]["tasks"]["again"] = task("my-fit-2")
    placed = place(spec, my_fit=StepPlacement(cpu="500m", memory="1Gi", retries=2), absent=GPU)
    for step in ("my-fit", "my-fit-2"):
        assert container(placed, step)["resources"]["resourceCpuLimit"] == "500m"
        assert container(placed, step)["resources"]["cpuRequest"] == 0.5
    tasks = placed.spec["root"]["dag"]["tasks"]
    retried = {name for name, body in tasks.items() if "retryPolicy" in body}
    assert retried == {"my-fit", "again"}
    assert "resources" not in container(placed, "other")


GPU = StepPlacement(accelerator="nvidia.com/gpu")


@pytest.mark.parametrize(
    "placement",
    [StepPlacement(cpu="2Gi"), StepPlacement(cpu="two")]
    + [StepPlacement(memory=amount) for amount in ("500m", "5K", "5 Gi", "-1Gi")],
)
def test_an_amount_that_makes_no_sense_is_named(placement: StepPlacement) -> None:
    kind = "cpu" if placement.cpu else "memory"
    with pytest.raises(InputError, match=rf"run.steps.fit.{kind}: .* no amount"):
        place(make_spec("fit"), fit=placement)


def test_times_of_the_whole_pipeline_are_kept() -> None:
    times = {"resourceTtlOnCompletion": 60}
    platform = {"platforms": {"kubernetes": {"pipelineConfig": times}}}
    placed = place(yaml.safe_dump_all([make_spec("fit"), platform]).encode())
    assert placed.platform is not None
    assert placed.platform["platforms"]["kubernetes"]["pipelineConfig"] == times


def test_two_placements_for_one_step_are_refused() -> None:
    with pytest.raises(InputError, match="two placements are named like 'my-fit'"):
        place(make_spec("my-fit"), my_fit=GPU, My_fit=GPU)
