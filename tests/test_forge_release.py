"""A release that a person on GitLab lets through: real Git and DVC, real python-gitlab, a fake GitLab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitops.errors import GitopsError, OutsideError, RefusedError, UndecidedError
from gitops.flow.forge_waiving import STATUS
from gitops.flow.judging import read_verdict, write_verdict
from gitops.flow.releasing import find_waiver, release_model
from gitops.flow.workspace import Workspace
from gitops.forge_waiver import LABEL, render_told
from gitops.gate.verdict import Outcome, Verdict
from gitops.manifest import parse_manifest
from gitops.release import Release, ReleaseStep, StepCallback, ignore_step
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.stage import IID, PATH, TOKEN, Stage, open_stage
from tests.release_kit import (
    TODAY,
    commit,
    count_objects,
    git,
    make_project,
    make_remote,
    open_project,
    write,
    write_judged,
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The release job of a merge commit, whose model was judged INCONCLUSIVE."""

    checkout: Path
    stage: Stage
    head: str

    @property
    def environ(self) -> dict[str, str]:
        return {
            **make_remote(self.origin).environ,
            "GITLAB_CI": "true",
            "CI_SERVER_URL": self.stage.fake.url,
            "CI_PROJECT_ID": str(self.stage.place.project["id"]),
            "GITOPS_GITLAB_TOKEN": TOKEN,
        }

    @property
    def origin(self) -> Path:
        return self.checkout.parent / "origin.git"

    def open(self) -> tuple[Workspace, Verdict]:
        workspace = open_project(self.checkout)
        return workspace, read_verdict(workspace, "fuel")

    def tell(self, verdict: Verdict, *, user: int | None = None) -> None:
        """Set the status that `gitops note` set on the merge request's commit."""
        world, place = self.stage.fake.world, self.stage.place
        place.statuses.append(
            {
                "id": world.new_id(),
                "sha": self.head,
                "ref": "change-7",
                "name": STATUS,
                "status": "skipped",
                "description": render_told("fuel: INCONCLUSIVE", (verdict,)),
                "target_url": None,
                "pipeline_id": None,
                "author": world.users[self.stage.bot if user is None else user],
                "created_at": world.now(),
            }
        )

    def label(self, user: int | None = None, *, action: str = "add") -> None:
        person = self.stage.maintainer if user is None else user
        self.stage.fake.world.set_label(self.stage.place, IID, person, LABEL, action=action)

    def release(
        self, on_step: StepCallback = ignore_step, environ: dict[str, str] | None = None
    ) -> Release:
        workspace, verdict = self.open()
        return release_model(
            workspace,
            workspace.model("fuel"),
            verdict=verdict,
            bundle=workspace.store.place("bundles", verdict.candidate),
            environ=self.environ if environ is None else environ,
            today=TODAY,
            on_step=on_step,
        )

    def refuse(self, kind: type[GitopsError] = UndecidedError) -> str:
        """Try to release; return why it did not, having made sure that nothing left this machine."""
        before = git(self.origin, "for-each-ref")
        with pytest.raises(kind) as error:
            self.release()
        assert git(self.origin, "for-each-ref") == before
        assert count_objects(self.checkout.parent / "dvc-remote") == 0
        assert self.stage.fake.writes == []
        assert TOKEN not in str(error.value) + error.value.hint
        return str(error.value)


def merge(checkout: Path, reference: str) -> str:
    """Merge a branch as GitLab does; return the head that it had."""
    git(checkout, "switch", "--quiet", "-c", "change-7")
    write(checkout, "pipelines/fuel/pipeline.py", "# better\n")
    git(checkout, "commit", "--quiet", "--all", "-m", "Better")
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "switch", "--quiet", "main")
    message = f"Merge branch 'change-7' into 'main'\n\nBetter\n\nSee merge request {reference}"
    git(checkout, "merge", "--quiet", "--no-ff", "-m", message, "change-7")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
    git(checkout, "fetch", "--quiet", "origin")
    return head


def make_job(folder: Path, stage: Stage, reference: str = f"{PATH}!{IID}") -> Job:
    _, checkout = make_project(folder, "fuel")
    head = merge(checkout, reference)
    stage.fake.world.move_head(stage.place, IID, head)
    stage.place.merge_requests[IID] |= {
        "state": "merged",
        "merge_commit_sha": git(checkout, "rev-parse", "HEAD"),
    }
    job = Job(checkout=checkout, stage=stage, head=head)
    job.tell(write_judged(open_project(checkout), outcome=Outcome.INCONCLUSIVE))
    return job


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


@pytest.fixture
def job(tmp_path: Path, stage: Stage) -> Job:
    return make_job(tmp_path, stage)


def test_what_a_maintainer_waives_is_released_and_recorded(job: Job) -> None:
    job.label()
    done = job.release()
    waiver = done.manifest.waiver
    assert waiver is not None
    assert waiver.by == f"@mara (Maintainer) on {PATH}!{IID}"
    assert waiver.why.startswith(f"label {LABEL} set ")
    assert waiver.why.endswith(f" at {job.head}")
    content = git(job.origin, "show", "main:models/fuel.release.json").encode()
    assert parse_manifest(content, "models/fuel.release.json") == done.manifest
    for name in ("fuel@v1.0.0", "main"):
        message = git(job.origin, "for-each-ref", "--format=%(contents)", f"refs/*/{name}")
        assert f"Waived-By: @mara (Maintainer) on {PATH}!{IID}" in message
    assert job.stage.fake.writes == []


def test_released_once_it_is_released_whatever_becomes_of_the_label(job: Job) -> None:
    job.label()
    first = job.release()
    job.label(action="remove")
    assert job.release() == replace(first, created=False)


def test_a_developers_label_takes_a_maintainers_approval(job: Job) -> None:
    job.label(job.stage.contributor)
    assert "nobody who may has decided" in job.refuse()
    job.stage.fake.world.approve(job.stage.place, IID, job.stage.maintainer)
    assert job.release().manifest.waiver is not None


def test_production_asks_before_the_release(job: Job) -> None:
    workspace, verdict = job.open()
    model = workspace.model("fuel")
    with pytest.raises(UndecidedError, match="is not set"):
        find_waiver(workspace, model, verdict, environ=job.environ, today=TODAY)
    job.label()
    found = find_waiver(workspace, model, verdict, environ=job.environ, today=TODAY)
    assert found.by.startswith("@mara")


@pytest.mark.parametrize("missing", ["GITOPS_GITLAB_TOKEN", "GITLAB_CI"])
def test_without_a_token_or_outside_ci_gitlab_is_not_asked(job: Job, missing: str) -> None:
    job.label()
    environ = {name: value for name, value in job.environ.items() if name != missing}
    with pytest.raises(UndecidedError, match="is not released"):
        job.release(environ=environ)
    assert job.stage.fake.record.calls == []


def test_a_label_from_before_the_last_push_does_nothing(tmp_path: Path, stage: Stage) -> None:
    stage.fake.world.set_label(stage.place, IID, stage.maintainer, LABEL)
    assert "older than this commit" in make_job(tmp_path, stage).refuse()


def test_a_label_on_other_code_does_nothing(job: Job) -> None:
    job.stage.fake.world.move_head(job.stage.place, IID, "d" * 40)
    job.label()
    assert "is not the commit that it was merged as" in job.refuse()


def test_a_message_that_names_another_project_leads_nowhere(tmp_path: Path, stage: Stage) -> None:
    job = make_job(tmp_path, stage, f"team/planes!{IID}")
    job.label()
    assert "another project" in job.refuse()


def test_a_commit_on_top_of_the_merge_is_not_waived(job: Job) -> None:
    job.label()
    write(job.checkout, "pipelines/fuel/pipeline.py", "# something else\n")
    commit(job.checkout, f"Sneak in\n\nSee merge request {PATH}!{IID}")
    git(job.checkout, "fetch", "--quiet", "origin")
    job.tell(write_judged(open_project(job.checkout), outcome=Outcome.INCONCLUSIVE))
    assert "is not the commit that it was merged as" in job.refuse()


def test_a_verdict_that_nobody_saw_is_not_waived(job: Job) -> None:
    """On the target branch the gate may say something else than it said on the merge request."""
    job.label()
    workspace, _ = job.open()
    write_judged(workspace, outcome=Outcome.FAIL)
    assert "another one was seen" in job.refuse(RefusedError)


def test_a_status_of_somebody_else_is_hearsay(job: Job) -> None:
    job.label()
    job.stage.place.statuses.clear()
    job.tell(job.open()[1], user=job.stage.contributor)
    assert "another one was seen" in job.refuse()


def test_a_leak_is_not_waived_by_a_label(job: Job) -> None:
    workspace, verdict = job.open()
    leak = replace(verdict.findings[0], rule="leak.target", outcome=Outcome.FAIL)
    failed = replace(verdict, outcome=Outcome.FAIL, findings=(leak, *verdict.findings))
    write_verdict(workspace, failed)
    job.tell(failed)
    job.label()
    assert "leak.target failed, which no label waives" in job.refuse(RefusedError)


@pytest.mark.parametrize(
    "place", ["/resource_label_events", "/members/all/", "/versions", "/statuses", "/user"]
)
def test_a_failure_of_gitlab_is_no_waiver(job: Job, place: str) -> None:
    job.label()
    job.stage.fake.fail(FaultKind.CONFLICT, place, times=99)
    job.refuse(OutsideError)


def test_a_token_that_gitlab_does_not_know_is_no_waiver(job: Job) -> None:
    job.label()
    job.stage.fake.world.tokens[TOKEN]["active"] = False
    job.refuse(OutsideError)


def test_a_push_between_two_reads_is_no_waiver(job: Job) -> None:
    job.label()
    job.stage.fake.fail(FaultKind.MOVED, "GET .*/versions", sha="d" * 40)
    assert "is not the commit that it was merged as" in job.refuse()


def test_a_label_that_is_taken_back_before_the_push_stops_the_release(job: Job) -> None:
    job.label()

    def withdraw(step: ReleaseStep) -> None:
        if step is ReleaseStep.PROVEN:
            job.label(action="remove")

    with pytest.raises(UndecidedError, match="is not set"):
        job.release(withdraw)
    assert git(job.origin, "tag") == ""
