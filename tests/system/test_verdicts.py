"""Merge requests that are not to be merged, and one that has nothing to run, as their pipelines tell them."""

from __future__ import annotations

import re

import pytest

from tests.system.laboratory import IID, Laboratory

pytestmark = pytest.mark.slow


def test_a_worse_model_that_lowers_its_own_bar_fails_and_both_are_told(
    laboratory: Laboratory,
) -> None:
    desk = laboratory.desk.path
    params = (desk / "pipelines/fuel/params.yaml").read_text("utf-8")
    config = (desk / "gitops.yaml").read_text("utf-8")
    files = {
        "pipelines/fuel/params.yaml": params.replace("400", "2"),
        "gitops.yaml": config.replace("max: 4.5", "max: 400").replace("min: 0.7", "min: -9"),
    }
    laboratory.open_merge_request("worse", files, "Fewer trees")
    pipeline = laboratory.run_merge_request()
    assert pipeline.jobs["gitops-run fuel"] == "PASS", pipeline.output
    assert (pipeline.jobs["gitops-gate fuel"], pipeline.jobs["gitops-report"]) == ("FAIL", "FAIL")
    (note,) = laboratory.place.notes[IID]
    assert "**FAIL**" in note["body"]
    assert "**Policy change**" in note["body"]
    assert [one["status"] for one in laboratory.place.statuses] == ["failed"]


def test_a_later_push_that_changes_no_input_updates_the_note(laboratory: Laboratory) -> None:
    """The same merge request, with all that it had changed taken back."""
    laboratory.desk.git("checkout", "--quiet", "main")
    laboratory.open_merge_request("worse-2", {"docs/more.md": "more\n"}, "Only words")
    pipeline = laboratory.run_merge_request()
    assert pipeline.jobs == {
        "gitops-plan": "PASS",
        "gitops-report": "PASS",
        "gitops-review": "PASS",
    }, pipeline.output
    (note,) = laboratory.place.notes[IID]
    assert "**Nothing to run.**" in note["body"]
    assert [one["status"] for one in laboratory.place.statuses] == ["failed", "success"]


def test_data_that_was_never_pushed_is_refused_with_the_next_step(laboratory: Laboratory) -> None:
    laboratory.desk.git("checkout", "--quiet", "main")
    path = "data/auto-mpg.csv.dvc"
    pointer = (laboratory.desk.path / path).read_text("utf-8")
    files = {path: re.sub(r"md5: [0-9a-f]{32}", "md5: " + "0a" * 16, pointer)}
    laboratory.open_merge_request("forgotten", files, "More cars")
    pipeline = laboratory.run_merge_request()
    assert pipeline.jobs == {
        "gitops-plan": "PASS",
        "gitops-report": "FAIL",
        "gitops-review": "PASS",  # the runner's own gap: GitLab fails it with its child
    }, pipeline.output
    (note,) = laboratory.place.notes[IID]
    assert "**REFUSED**" in note["body"]
    assert "`dvc push -r sample data/auto-mpg.csv.dvc`" in note["body"]
