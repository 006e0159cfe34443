"""What the steps of a run leave for each other and for the job that waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from gitops.errors import OutsideError, RefusedError
from gitops.flow.pods import raise_kept_error, run_step, take_documents
from gitops.flow.workspace import Workspace
from tests.release_kit import make_project, open_project


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The steps of this run share nothing but the store."""
    workspace = open_project(make_project(tmp_path, "fuel")[1])
    return Workspace(replace(workspace.request, model="fuel", run="fuel-production-1"))


def in_pod(workspace: Workspace, name: str) -> Workspace:
    return Workspace(replace(workspace.request, documents=f".gitops/{name}"))


def refuse(_: Workspace) -> NoReturn:
    raise RefusedError("the gate said no")


def test_a_step_whose_earlier_documents_are_gone_fails_instead_of_checking_less(
    workspace: Workspace,
) -> None:
    done: list[Workspace] = []
    with pytest.raises(OutsideError, match="what the step 'judge' left is not in the store"):
        run_step(workspace.request.to_json(), "rollout", done.append, after=("judge",))
    assert done == []
    run_step(workspace.request.to_json(), "judge", lambda _: None)
    run_step(workspace.request.to_json(), "rollout", done.append, after=("judge",))
    assert len(done) == 1


def test_why_a_step_failed_is_not_lost_to_a_store_that_fails_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gitops.adapters.store import Store

    def fail(*_: object) -> NoReturn:
        raise OutsideError("the store cannot be written")

    monkeypatch.setattr(Store, "write_folder", fail)
    with pytest.raises(RefusedError, match="the gate said no"):
        run_step(workspace.request.to_json(), "judge", refuse)
    assert "the store cannot be written" in capsys.readouterr().err


def test_documents_that_are_no_text_are_copied_as_they_are_and_an_error_is_told(
    workspace: Workspace,
) -> None:
    with pytest.raises(RefusedError):
        run_step(in_pod(workspace, "a").request.to_json(), "judge", refuse)
    job = in_pod(workspace, "job")
    assert take_documents(job, "judge")
    with pytest.raises(RefusedError, match="the gate said no"):
        raise_kept_error(job)

    def write(own: Workspace) -> None:
        place = own.document("fuel", "report.html")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"\xff\xfe")

    run_step(in_pod(workspace, "b").request.to_json(), "score", write)
    assert take_documents(job, "score")
    assert job.document("fuel", "report.html").read_bytes() == b"\xff\xfe"
