"""The generated child pipelines: which jobs, in which order, and from whose templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.child import Jobs, fill_template, render_production, render_review
from gitops.errors import InputError
from gitops.flow.pipelining import read_jobs, read_templates
from gitops.plan import Action, ModelPlan, Plan

IMAGE = "registry.example.com/team/gitops@sha256:" + "a" * 64
JOBS = Jobs(image=IMAGE)
TEMPLATES = read_templates()
SPEC = "spec: {inputs: {name: {regex: '^[a-z]+$'}, many: {type: array, default: []}}}\n---\n"


def make_model(name: str, action: Action = Action.RUN) -> ModelPlan:
    return ModelPlan(
        name=name, action=action, reason="", hint="", fingerprint=None, data_changed=False, steps=()
    )


def make_plan(*models: ModelPlan) -> Plan:
    return Plan(base=None, head="a" * 40, base_reason="", changes=(), models=models)


def review(*models: ModelPlan, jobs: Jobs = JOBS) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(render_review(make_plan(*models), TEMPLATES, jobs))
    return content


def jobs_of(content: dict[str, Any]) -> list[str]:
    return [name for name in content if name.startswith("gitops-")]


def test_each_planned_model_is_run_and_gated_and_all_are_reported_together() -> None:
    content = review(make_model("fuel"), make_model("wear", Action.REUSE))
    assert jobs_of(content) == [
        "gitops-run fuel",
        "gitops-gate fuel",
        "gitops-run wear",
        "gitops-gate wear",
        "gitops-report",
    ]
    assert content["gitops-report"]["needs"] == ["gitops-gate fuel", "gitops-gate wear"]


def test_models_run_beside_each_other() -> None:
    content = review(make_model("fuel"), make_model("wear"))
    assert content["gitops-run fuel"]["needs"] == content["gitops-run wear"]["needs"] == []
    assert content["gitops-gate wear"]["needs"] == ["gitops-run wear"]


def test_a_gate_waits_for_its_run_however_that_ends() -> None:
    gate = review(make_model("fuel"))["gitops-gate fuel"]
    assert (gate["needs"], gate["rules"]) == (["gitops-run fuel"], [{"when": "always"}])


def test_a_skipped_model_has_no_job() -> None:
    content = review(make_model("fuel"), make_model("wear", Action.SKIP))
    assert not [name for name in content if name.endswith("wear")]


def test_with_nothing_planned_one_job_says_so() -> None:
    content = review(make_model("fuel", Action.SKIP))
    assert jobs_of(content) == ["gitops-report"]
    assert content["gitops-report"]["script"] == ["gitops note"]
    assert content["gitops-report"]["needs"] == []


def test_when_something_is_refused_only_the_report_runs() -> None:
    assert jobs_of(review(make_model("fuel", Action.REFUSE))) == ["gitops-report"]


def test_production_is_released_and_then_rolled_out() -> None:
    content = yaml.safe_load(render_production(TEMPLATES, JOBS))
    assert jobs_of(content) == ["gitops-release", "gitops-rollout"]
    assert content["gitops-rollout"]["needs"] == ["gitops-release"]


def test_each_child_runs_where_it_belongs_and_nowhere_else() -> None:
    """A child pipeline without rules has no jobs in a merge request."""
    production = yaml.safe_load(render_production(TEMPLATES, JOBS))
    assert review()["workflow"] == {"rules": [{"if": "$CI_MERGE_REQUEST_ID"}]}
    assert production["workflow"] == {"rules": [{"if": '$CI_COMMIT_REF_PROTECTED == "true"'}]}


def test_prefix_image_and_runners_are_the_teams() -> None:
    jobs = replace(JOBS, prefix="ml", tags=("gpu", "linux"))
    content = review(make_model("fuel"), jobs=jobs)
    assert content["default"] == {"tags": ["gpu", "linux"]}
    assert content["ml-run fuel"]["image"] == IMAGE


@pytest.mark.parametrize(
    "image", ["python:3.11", "registry.example.com/gitops:latest", IMAGE + "; id", "$IMAGE", ""]
)
def test_an_image_that_can_change_is_refused(image: str) -> None:
    with pytest.raises(InputError, match="image"):
        review(make_model("fuel"), jobs=replace(JOBS, image=image))


@pytest.mark.parametrize("prefix", ["", "a b", "$(id)", "x:\n  y"])
def test_a_prefix_that_is_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="prefix"):
        review(make_model("fuel"), jobs=replace(JOBS, prefix=prefix))


def test_an_input_that_is_a_whole_value_keeps_its_type() -> None:
    text = SPEC + "job-$[[ inputs.name ]]: {needs: '$[[ inputs.many ]]'}\n"
    filled = fill_template(text, {"name": "a", "many": ["x", "y"]}, where="t")
    assert filled == {"job-a": {"needs": ["x", "y"]}}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "'name' is missing"),
        ({"name": "a", "nmae": "b"}, "no input 'nmae'"),
        ({"name": "A"}, r"must be \^\[a-z\]\+\$"),
        ({"name": "a\n"}, "must be"),
        ({"name": ["a"]}, "must be"),
        ({"name": "a", "many": "x"}, "must be array"),
    ],
)
def test_an_input_outside_its_spec_is_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill_template(SPEC + "job: {}\n", inputs, where="t")


def test_what_is_filled_in_is_not_filled_again() -> None:
    text = "spec: {inputs: {a: {}, b: {}}}\n---\njob: {script: ['$[[ inputs.a ]]!']}\n"
    filled = fill_template(text, {"a": "$[[ inputs.b ]]", "b": "no"}, where="t")
    assert filled == {"job": {"script": ["$[[ inputs.b ]]!"]}}


def test_the_plan_job_hands_on_what_its_template_was_given() -> None:
    jobs = read_jobs(
        {"GITOPS_JOBS_IMAGE": IMAGE, "GITOPS_JOBS_TAGS": '["a", "b"]\n', "GITOPS_JOBS_PREFIX": "ml"}
    )
    assert jobs == Jobs(image=IMAGE, tags=("a", "b"), prefix="ml")


@pytest.mark.parametrize("tags", ["a", "{}", "[1]", "[", '"a"'])
def test_tags_that_are_no_list_of_names_are_refused(tags: str) -> None:
    with pytest.raises(InputError):
        read_jobs({"GITOPS_JOBS_IMAGE": IMAGE, "GITOPS_JOBS_TAGS": tags})


def test_templates_come_from_the_toolkit_whatever_lies_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "run.yml").write_text("evil: {script: [id]}\n")
    monkeypatch.chdir(tmp_path)
    assert read_templates() == TEMPLATES
