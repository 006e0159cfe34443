"""The GitLab templates: valid, pinned, without a way from a name to a shell, and without a token too many."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.child import PRODUCTION, REVIEW, Jobs, fill_template

ROOT = Path(__file__).parent.parent
CI = ROOT / "ci"
IMAGE = "registry.example.com/team/gitops@sha256:" + "a" * 64
STAGES = ("plan", *REVIEW, *PRODUCTION)
INPUTS: dict[str, dict[str, Any]] = {
    "gitops": {"image": "$GITOPS_IMAGE", "tags": ["gpu"]},
    "plan": {"image": IMAGE},
    "run": {"image": IMAGE, "model": "fuel"},
    "gate": {"image": IMAGE, "model": "fuel"},
    "report": {"image": IMAGE, "gates": ["gitops-gate fuel"]},
    "release": {"image": IMAGE},
    "rollout": {"image": IMAGE},
}
# A word of the shell that is a plain word, an option, or one variable in quotes.
PLAIN = re.compile(r'(?:[a-z.-][A-Za-z0-9./_-]*|"\$[A-Z][A-Z0-9_]*")')


def read(name: str) -> str:
    return (CI / f"{name}.yml").read_text("utf-8")


def fill(name: str) -> dict[str, Any]:
    return fill_template(read(name), INPUTS[name], where=name)


def job(name: str) -> dict[str, Any]:
    (found,) = (body for key, body in fill(name).items() if key.startswith("gitops-"))
    return dict(found)


def check_with_gitlabs_schema(place: Path, content: str) -> None:
    place.write_text(content, "utf-8")
    command = (
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
        *("--data-transform", "gitlab-ci", str(place)),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_template_is_one_of_a_stage_or_the_one_that_composes_them() -> None:
    assert {path.stem for path in CI.glob("*.yml")} == set(INPUTS)


@pytest.mark.parametrize("name", INPUTS)
def test_both_halves_fit_gitlabs_schema(name: str, tmp_path: Path) -> None:
    head = read(name).split("\n---\n")[0]
    check_with_gitlabs_schema(tmp_path / "head.yml", head)
    check_with_gitlabs_schema(tmp_path / "body.yml", yaml.safe_dump(fill(name)))


def test_the_repository_uses_what_it_ships(tmp_path: Path) -> None:
    own = (ROOT / ".gitlab-ci.yml").read_text("utf-8")
    check_with_gitlabs_schema(tmp_path / "own.yml", own)
    assert [one["local"] for one in yaml.safe_load(own)["include"]] == ["/ci/gitops.yml"]


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_is_restricted(name: str) -> None:
    head = yaml.safe_load(read(name).split("\n---\n")[0])
    for key, rule in head["spec"]["inputs"].items():
        assert rule["description"], key
        assert rule.get("type") == "array" or {"regex", "options"} & set(rule), key
        if "regex" in rule:
            assert (rule["regex"][0], rule["regex"][-1]) == ("^", "$"), key


@pytest.mark.parametrize("name", INPUTS)
def test_no_input_is_part_of_a_script(name: str) -> None:
    body = yaml.safe_load(read(name).split("\n---\n")[1])
    for content in body.values():
        if isinstance(content, dict):
            assert "$[[" not in json.dumps(content.get("script", []))
            assert not {"before_script", "after_script"} & set(content)


@pytest.mark.parametrize("name", STAGES)
def test_a_script_line_is_one_command_of_gitops_with_quoted_variables(name: str) -> None:
    lines = job(name)["script"]
    assert len(lines) == (2 if name == "release" else 1)
    for line in lines:
        assert line.startswith("gitops ")
        assert all(PLAIN.fullmatch(word) for word in line.split(" ")), line


@pytest.mark.parametrize("name", STAGES)
def test_images_are_pinned_by_digest(name: str) -> None:
    assert job(name)["image"] == IMAGE
    rule = yaml.safe_load(read(name).split("\n---\n")[0])["spec"]["inputs"]["image"]["regex"]
    assert not re.fullmatch(rule, "registry.example.com/gitops:latest")


@pytest.mark.parametrize("name", STAGES)
def test_only_trouble_outside_is_tried_again(name: str) -> None:
    assert job(name)["retry"] == {"max": 2, "exit_codes": [4]}


@pytest.mark.parametrize("name", STAGES)
def test_no_job_waits_for_ever_and_no_artifact_stays_for_ever(name: str) -> None:
    assert job(name)["timeout"]
    assert name == "report" or job(name)["artifacts"]["expire_in"]


@pytest.mark.parametrize("name", STAGES)
def test_no_job_has_a_cache_that_another_could_poison(name: str) -> None:
    assert not job(name).get("cache")


@pytest.mark.parametrize("name", PRODUCTION)
def test_production_turns_off_a_cache_that_a_team_sets_for_all_jobs(name: str) -> None:
    assert job(name)["cache"] == []
    assert job(name)["interruptible"] is False


@pytest.mark.parametrize("name", ["plan", "run", "gate"])
def test_jobs_of_a_merge_request_name_no_token_and_no_environment(name: str) -> None:
    assert "environment" not in job(name)
    assert not re.search(r"TOKEN|SECRET|PASSWORD|id_tokens|production", json.dumps(job(name)))
    assert job(name)["interruptible"] is True


def test_only_the_report_names_the_environment_of_the_token() -> None:
    assert job("report")["environment"] == {"name": "gitops/review", "action": "verify"}
    assert job("report")["rules"] == [{"when": "always"}]


@pytest.mark.parametrize("name", ["gate", "report"])
def test_a_verdict_that_cannot_tell_is_an_allowed_failure(name: str) -> None:
    assert job(name)["allow_failure"] == {"exit_codes": [5]}


def test_the_run_hands_over_a_bundle_and_no_scores() -> None:
    paths = job("run")["artifacts"]["paths"]
    assert ".gitops/store/untrusted/bundles/" in paths
    assert not [path for path in paths if re.search(r"scores|splits|verdict|report|\*", path)]


def test_why_a_run_failed_reaches_the_report_by_way_of_the_gate() -> None:
    """Unreviewed code writes it; what the gate itself writes, no run can hand over."""
    assert job("gate")["rules"] == job("report")["rules"] == [{"when": "always"}]
    handed = {name: set(job(name)["artifacts"]["paths"]) for name in ("run", "gate")}
    both = {".gitops/fuel/failure.json", ".gitops/fuel/run.json"}
    assert handed["run"] & handed["gate"] == both
    assert ".gitops/fuel/cluster.log" in handed["run"]
    assert all(job(name)["artifacts"]["when"] == "always" for name in handed)


def test_reviewers_get_tests_metrics_and_a_page() -> None:
    artifacts = job("gate")["artifacts"]
    assert set(artifacts["reports"]) == {"junit", "metrics"}
    assert artifacts["expose_as"] == "Model report of fuel"
    assert "$" not in json.dumps(artifacts)  # GitLab shows no page whose path has a variable


def test_one_push_makes_one_pipeline() -> None:
    assert fill("gitops")["workflow"]["rules"] == [
        {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'},
        {"if": "$CI_COMMIT_TAG", "when": "never"},
        {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"},
    ]


def test_production_is_one_child_pipeline_behind_a_lock() -> None:
    production = fill("gitops")["gitops-production"]
    assert production["resource_group"] == "gitops/production"
    assert production["trigger"]["strategy"] == "depend"
    never, only = production["rules"]
    assert never == {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"', "when": "never"}
    assert '$CI_COMMIT_REF_PROTECTED == "true"' in only["if"]


def test_child_pipelines_are_those_of_the_plan() -> None:
    for name in ("gitops-review", "gitops-production"):
        assert fill("gitops")[name]["trigger"]["include"] == [
            {"artifact": ".gitops/child.yml", "job": "gitops-plan"}
        ]


@pytest.mark.parametrize("jobs", [Jobs(image=IMAGE), Jobs(image=IMAGE, tags=("gpu",))])
def test_generated_pipelines_fit_gitlabs_schema(jobs: Jobs, tmp_path: Path) -> None:
    from gitops.child import render_production, render_review
    from tests.test_child import TEMPLATES, make_model, make_plan

    plan = make_plan(make_model("fuel"), make_model("wear"))
    check_with_gitlabs_schema(tmp_path / "a.yml", render_review(plan, TEMPLATES, jobs))
    check_with_gitlabs_schema(tmp_path / "b.yml", render_production(TEMPLATES, jobs))


def test_the_image_is_locked_slim_and_not_roots() -> None:
    lines = (CI / "Dockerfile").read_text("utf-8").splitlines()
    assert "ARG BASE" in lines  # no default: a digest that nobody looked up proves nothing
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM ${BASE} AS build",
        "FROM ${BASE}",
    ]
    assert "USER 1000:1000" in lines
    installs = [line for line in lines if " -r " in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_the_system_tests_tools_are_locked_and_name_no_host() -> None:
    text = (ROOT / "tests/system/package-lock.json").read_text("utf-8")
    packages = json.loads(text)["packages"]
    assert not re.search(r"https?://", text)
    assert all("integrity" in body for name, body in packages.items() if name)
