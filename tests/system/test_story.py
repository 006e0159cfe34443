"""A merge request with hostile names is planned, run, judged and reported; merged, it is released and served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fake_gitlab.server import Call
from tests.fake_gitlab.world import Json
from tests.system.laboratory import IID, TOKEN, Laboratory, Pipeline

pytestmark = pytest.mark.slow

BRANCH = "more-trees-$(touch${IFS}PWNED)`touch${IFS}PWNED`"
TITLE = "More trees; $(touch PWNED) `touch PWNED` | touch PWNED"
FILE = "docs/$(touch PWNED);`touch PWNED`.md"


@dataclass(kw_only=True)
class Story:
    """What happened, in order."""

    laboratory: Laboratory
    head: str
    review: Pipeline
    notes: list[Json]
    statuses: list[Json]
    writes_after_review: int
    production: Pipeline


@pytest.fixture(scope="module")
def story(laboratory: Laboratory) -> Story:
    params = (laboratory.desk.path / "pipelines/fuel/params.yaml").read_text("utf-8")
    files = {"pipelines/fuel/params.yaml": params.replace("400", "401"), FILE: "hello\n"}
    laboratory.open_merge_request(BRANCH, files, TITLE)
    head = laboratory.desk.git("rev-parse", "HEAD")
    review = laboratory.run_merge_request()
    writes = len(laboratory.fake.writes)
    laboratory.merge(BRANCH)
    return Story(
        laboratory=laboratory,
        head=head,
        review=review,
        notes=list(laboratory.place.notes.get(IID, [])),
        statuses=list(laboratory.place.statuses),
        writes_after_review=writes,
        production=laboratory.run_main(),
    )


def test_every_job_of_the_merge_request_succeeds(story: Story) -> None:
    assert story.review.jobs == {
        "gitops-plan": "PASS",
        "gitops-run fuel": "PASS",
        "gitops-gate fuel": "PASS",
        "gitops-report": "PASS",
        "gitops-review": "PASS",
    }, story.review.output


def test_the_merge_request_has_one_note_with_the_verdict_and_a_picture(story: Story) -> None:
    (note,) = story.notes
    assert "**PASS**" in note["body"]
    assert "![fuel-predictions](/uploads/" in note["body"]
    assert note["author"]["id"] == story.laboratory.bot


def test_the_commit_has_one_status_within_its_pipeline(story: Story) -> None:
    (status,) = story.statuses
    shown = {key: status[key] for key in ("sha", "name", "status", "description")}
    assert shown == {
        "sha": story.head,
        "name": "gitops",
        "status": "success",
        "description": "fuel: PASS",
    }
    assert status["pipeline_id"] >= 1000


def test_the_gate_made_its_own_rows_and_scores(story: Story) -> None:
    """The run hands over a bundle; whatever else it put into a store is not looked at."""
    build = next(story.laboratory.state.glob("builds/gitops-gate*"))
    stores = {path.name for path in (build / ".gitops/store").iterdir()}
    assert stores == {"untrusted", "judged"}
    assert {path.name for path in (build / ".gitops/store/untrusted").iterdir()} == {"bundles"}
    assert {"bundles", "scores", "splits"} <= {
        path.name for path in (build / ".gitops/store/judged").iterdir()
    }


def test_the_merge_is_released_and_served(story: Story) -> None:
    assert story.production.jobs == {
        "gitops-plan": "PASS",
        "gitops-release": "PASS",
        "gitops-rollout": "PASS",
        "gitops-production": "PASS",
    }, story.production.output
    # The other model was on main already, and had never been released.
    assert story.laboratory.origin.git("tag").split() == ["fuel@v1.0.0", "water@v1.0.0"]
    subjects = story.laboratory.origin.git("log", "-2", "--format=%s", "main").splitlines()
    assert sorted(subjects) == ["Release fuel v1.0.0", "Release water v1.0.0"]


def test_what_serves_predicts_what_was_judged(story: Story) -> None:
    place = story.laboratory.read_artifact("gitops-rollout", ".gitops/fuel/rollout.json")
    rollout = json.loads(place.read_text("utf-8"))
    assert rollout["identity"]["version"] == "v1.0.0"
    assert rollout["parity"]["rows"] > 100


def test_production_writes_nothing_to_gitlab(story: Story) -> None:
    assert len(story.laboratory.fake.writes) == story.writes_after_review


def test_no_name_reaches_a_shell(story: Story) -> None:
    assert not list(story.laboratory.folder.rglob("PWNED"))
    assert FILE in story.review.output  # it was there, and it was only text


def test_the_token_is_nowhere_but_where_it_was_set(story: Story) -> None:
    outputs = story.review.output + story.production.output
    told = [str(note) for note in story.notes] + [str(call.body) for call in _calls(story)]
    assert TOKEN not in outputs + "".join(told)
    home = story.laboratory.folder / "home"
    found = [
        path for path in _files(story.laboratory.folder) if TOKEN.encode() in path.read_bytes()
    ]
    assert [path for path in found if home not in path.parents] == []


def _calls(story: Story) -> list[Call]:
    return story.laboratory.fake.record.calls


def test_the_pipeline_of_the_release_commit_releases_nothing_more(story: Story) -> None:
    """GitLab starts none for a push with a job token; where one starts, it ends the loop."""
    laboratory = story.laboratory
    laboratory.stop_servers()
    laboratory.desk.git("pull", "--quiet", "--tags", "origin", "main")
    before = laboratory.origin.git("for-each-ref")
    again = laboratory.run_main()
    assert again.jobs["gitops-release"] == "PASS", again.output
    assert "released as fuel@v1.0.0 already" in again.output
    assert laboratory.origin.git("for-each-ref") == before


def test_a_run_that_fails_is_told_with_the_last_lines_of_its_step(story: Story) -> None:
    """The gate runs all the same, and hands on to the note what the run left."""
    laboratory = story.laboratory
    laboratory.desk.git("checkout", "--quiet", "main")
    params = (laboratory.desk.path / "pipelines/fuel/params.yaml").read_text("utf-8")
    files = {"pipelines/fuel/params.yaml": params.replace("model: boosted", "model: divined")}
    laboratory.open_merge_request("divined", files, "Guess")
    pipeline = laboratory.run_merge_request()
    names = ("gitops-run fuel", "gitops-gate fuel", "gitops-report")
    assert [pipeline.jobs[name] for name in names] == ["FAIL"] * 3, pipeline.output
    (note,) = laboratory.place.notes[IID]
    assert "**NO VERDICT** for `fuel`" in note["body"]
    said = note["body"].split("```")[1]
    assert "Inner task failed: 'fit'" in said
    assert "    |     KeyError: 'divined'\nhint: the whole log: .gitops/fuel/run.log\n" in said
    assert laboratory.place.statuses[-1]["description"] == "fuel: no verdict"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
