"""Why a run failed, written down for the jobs after it: bounded, of this commit, and never more than text."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters import documents
from gitops.adapters.git.repository import GitRepository
from gitops.config import Zone
from gitops.errors import InputError, OutsideError
from gitops.flow.failures import (
    FAILURE,
    find_failure,
    make_failure,
    raise_failure,
    recording_failure,
)
from gitops.flow.workspace import Request, Workspace
from tests.repositories import make_repository

HEAD, OTHER = "a" * 40, "f" * 40
FINGERPRINT = "sha256:" + "b" * 64
SAID = {
    "commit": HEAD,
    "fingerprint": FINGERPRINT,
    "what": "the step 'fit' failed\n    | ValueError: no rows",
    "where": "",
    "hint": "the whole log: .gitops/fuel/run.log",
}
RUN: dict[str, object] = {
    "model": "fuel",
    "commit": HEAD,
    "base": None,
    "fingerprint": FINGERPRINT,
    "bundle": FINGERPRINT,
    "earlier": None,
    "champion": None,
    "champion_reason": "none",
    "current": {"key": FINGERPRINT, "rows": 1, "train_rows": 1, "data": "x"},
    "steps": [],
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    return GitRepository(make_repository(tmp_path_factory.mktemp("failures") / "work").path)


@pytest.fixture
def workspace(repository: GitRepository, tmp_path: Path) -> Workspace:
    request = Request(
        repository=str(tmp_path), head=HEAD, target="", target_branch="main", zone=Zone.UNTRUSTED
    )
    return Workspace(request, repository)


def place_of(workspace: Workspace, name: str = FAILURE) -> Path:
    place = workspace.document("fuel", name)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def put(workspace: Workspace, name: str = FAILURE, **facts: object) -> Path:
    place = place_of(workspace, name)
    place.write_text(json.dumps({**(SAID if name == FAILURE else RUN), **facts}), "utf-8")
    return place


def fail(workspace: Workspace, error: Exception) -> None:
    with recording_failure(workspace, "fuel", FINGERPRINT):
        raise error


def test_the_error_goes_on_and_is_written_down_for_the_jobs_after_it(workspace: Workspace) -> None:
    log_file = workspace.document("fuel", "run.log")
    error = InputError("the step 'fit' failed\n    | boom", hint=f"the whole log: {log_file}")
    with pytest.raises(InputError) as raised:
        fail(workspace, error)
    assert raised.value is error
    failure = find_failure(workspace, "fuel")
    assert failure is not None
    assert (failure.commit, failure.fingerprint) == (HEAD, FINGERPRINT)
    assert failure.text == (
        "the step 'fit' failed\n    | boom\nhint: the whole log: .gitops/fuel/run.log"
    )


def test_later_the_same_lines_are_an_error_that_no_retry_mends(workspace: Workspace) -> None:
    with pytest.raises(OutsideError):
        fail(workspace, OutsideError("it hung", where="kfp", hint="    | last words"))
    with pytest.raises(InputError, match="the run failed: kfp: it hung") as raised:
        raise_failure(workspace, "fuel")
    assert raised.value.hint == "    | last words"


def test_the_next_run_forgets_it_before_it_does_anything(workspace: Workspace) -> None:
    place = put(workspace)
    with recording_failure(workspace, "fuel", FINGERPRINT):
        assert not place.exists()
    assert find_failure(workspace, "fuel") is None


def test_a_bug_is_not_explained_away(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(workspace, ZeroDivisionError())
    assert not place_of(workspace).exists()


def test_a_full_disk_does_not_hide_why_the_run_failed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place_of(workspace)
    monkeypatch.setattr(documents, "write_file", refuse)
    with pytest.raises(InputError, match="boom"):
        fail(workspace, InputError("boom"))
    assert "No space left" in capsys.readouterr().err


def test_a_failure_of_another_commit_says_nothing(workspace: Workspace) -> None:
    put(workspace, commit=OTHER)
    assert find_failure(workspace, "fuel") is None
    raise_failure(workspace, "fuel")


@pytest.mark.parametrize(("commit", "told"), [(HEAD, False), (OTHER, True)])
def test_a_run_of_this_commit_leaves_a_failure_nothing_to_say(
    workspace: Workspace, commit: str, *, told: bool
) -> None:
    put(workspace)
    put(workspace, "run.json", commit=commit)
    assert (find_failure(workspace, "fuel") is not None) is told


def test_it_keeps_the_first_line_and_the_last_25(workspace: Workspace) -> None:
    what = "\n".join(["the step 'fit' failed", *(f"    | line {n}" for n in range(1000))])
    with pytest.raises(InputError):
        fail(workspace, InputError(what, hint="the whole log: x"))
    failure = find_failure(workspace, "fuel")
    assert failure is not None
    first, *rest = failure.what.splitlines()
    assert first == "the step 'fit' failed"
    assert rest == [f"    | line {n}" for n in range(975, 1000)]


TEXT = st.one_of(st.text(max_size=200), st.builds("\n".join, st.lists(st.text(), max_size=60)))


@given(TEXT, TEXT, TEXT, st.integers(min_value=1, max_value=500))
def test_whatever_is_said_is_short_printable_and_stays_as_it_is(
    what: str, where: str, hint: str, times: int
) -> None:
    first = make_failure(
        commit=HEAD, fingerprint=FINGERPRINT, what=what * times, where=where, hint=hint * times
    )
    assert len(first.text) <= 8000
    assert all(line.isprintable() or not line for line in first.text.split("\n"))
    assert len(first.text.split("\n")) <= 28


def _link(place: Path) -> None:
    elsewhere = place.with_name("elsewhere.json")
    elsewhere.write_text(json.dumps(SAID))
    place.symlink_to(elsewhere)


def _link_the_folder(place: Path) -> None:
    place.parent.rename(place.parent.with_name("elsewhere"))
    place.parent.symlink_to("elsewhere")
    place.write_text(json.dumps(SAID))


def _flood(place: Path) -> None:
    place.write_text(json.dumps({**SAID, "what": "x" * 100_000}))


@pytest.mark.parametrize(
    "forge",
    [
        _link,
        _link_the_folder,
        _flood,
        Path.mkdir,
        lambda place: place.write_text("{"),
        lambda place: place.write_text("[" * 50_000),
        lambda place: place.write_bytes(b"\xff\xfe"),
        lambda place: place.write_text(json.dumps({**SAID, "outcome": "PASS"})),
        lambda place: place.write_text(json.dumps({**SAID, "what": ["x"]})),
        lambda place: place.write_text(json.dumps({**SAID, "what": "x" * 9000})),
        lambda place: place.write_text(json.dumps({**SAID, "commit": "../../etc"})),
    ],
)
def test_what_is_no_such_document_is_refused(workspace: Workspace, forge: object) -> None:
    assert callable(forge)
    forge(place_of(workspace))
    with pytest.raises(InputError):
        find_failure(workspace, "fuel")


def test_a_link_in_its_place_is_replaced_and_not_followed(
    workspace: Workspace, tmp_path: Path
) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    place_of(workspace).symlink_to(treasure)
    with pytest.raises(InputError):
        fail(workspace, InputError("boom"))
    assert (treasure.read_text(), place_of(workspace).is_symlink()) == ("gold", False)


def test_a_written_document_is_cut_again_when_it_is_read(workspace: Workspace) -> None:
    """Unreviewed code can write it without the writer above."""
    put(workspace, what="\x1b[31m\n" * 600, hint="a\u202eb")
    failure = find_failure(workspace, "fuel")
    assert failure is not None
    assert len(failure.what.splitlines()) == 26
    assert "\x1b" not in failure.text
    assert failure.hint == "a\\u202eb"
