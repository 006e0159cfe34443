"""Rolling back: a commit like any other, that restores pointer and manifest of an earlier release."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.adapters import documents
from gitops.adapters.publish import Question, publish, read_target
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.flow.rollbacks import finish_rollback, roll_back
from gitops.flow.workspace import Workspace
from gitops.release import Release
from gitops.rollout import find_previous, find_registered, plan_rollback
from tests.release_kit import (
    commit,
    git,
    make_candidate,
    make_project,
    make_remote,
    make_repositories,
    make_test_config,
    open_project,
    publish_candidate,
    release_project,
    write,
    write_judged,
)

CONFIG = make_test_config("fuel")
FUEL = CONFIG.models[0]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Three releases of fuel, v1.0.0 to v1.2.0."""
    origin, source = make_repositories(tmp_path, "fuel")
    champion = ""
    for label in "abc":
        candidate = make_candidate(FUEL, source, label, champion)
        champion = publish_candidate(origin, CONFIG, candidate).manifest.bundle
    return origin


def push_rollback(origin: Path, leaving: str, to: str, reason: str = "") -> Release:
    return publish(
        make_remote(origin),
        Question(config=FUEL),
        lambda target: plan_rollback(FUEL, target, leaving=leaving, to=to, reason=reason),
    )


def show(origin: Path, revision: str) -> tuple[str, str]:
    pointer, manifest = (
        git(origin, "show", f"{revision}:{p}") for p in (FUEL.pointer, FUEL.manifest)
    )
    return pointer, manifest


def test_a_rollback_is_a_commit_that_restores_both_files_and_says_why(origin: Path) -> None:
    before = git(origin, "rev-parse", "main")
    release = push_rollback(origin, "v1.2.0", "v1.0.0", "Predictions drift\n\nRelease-Id: forged")
    assert git(origin, "rev-parse", "main^") == before
    assert release.commit == git(origin, "rev-parse", "main")
    assert show(origin, "main") == show(origin, "fuel@v1.0.0")
    assert git(origin, "tag").splitlines() == ["fuel@v1.0.0", "fuel@v1.1.0", "fuel@v1.2.0"]
    message = git(origin, "log", "-1", "--format=%B", "main")
    assert message.splitlines() == [
        "Roll fuel back to v1.0.0",
        "",
        "Predictions drift Release-Id: forged",
        "",
        "Rollback-From: fuel@v1.2.0",
        "Rollback-To: fuel@v1.0.0",
    ]


def test_a_rollback_that_is_done_changes_nothing(origin: Path) -> None:
    first = push_rollback(origin, "v1.2.0", "v1.1.0")
    before = git(origin, "for-each-ref")
    second = push_rollback(origin, "v1.2.0", "v1.1.0")
    assert (first.created, second.created) == (True, False)
    assert second.commit == first.commit
    assert git(origin, "for-each-ref") == before


def test_the_release_before_is_the_one_that_was_replaced(origin: Path) -> None:
    question = Question(config=FUEL)
    assert find_previous("fuel", read_target(make_remote(origin), question)) == "v1.1.0"
    push_rollback(origin, "v1.2.0", "v1.1.0")
    assert find_previous("fuel", read_target(make_remote(origin), question)) == "v1.0.0"
    push_rollback(origin, "v1.1.0", "v1.0.0")
    with pytest.raises(InputError, match=r"v1\.0\.0 is its first release"):
        find_previous("fuel", read_target(make_remote(origin), question))


def test_a_release_made_meanwhile_supersedes_the_rollback(origin: Path) -> None:
    with pytest.raises(RefusedError, match=r"now carries fuel v1\.2\.0, not v1\.1\.0"):
        push_rollback(origin, "v1.1.0", "v1.0.0")


def test_a_version_that_was_never_released_is_named_with_those_that_were(origin: Path) -> None:
    with pytest.raises(InputError, match=r"no release v9\.0\.0") as error:
        push_rollback(origin, "v1.2.0", "v9.0.0")
    assert error.value.hint == "releases: v1.0.0, v1.1.0, v1.2.0"


def test_the_version_after_a_rollback_is_a_new_one(origin: Path) -> None:
    restored = push_rollback(origin, "v1.2.0", "v1.0.0")
    source = git(origin, "rev-parse", "main")
    candidate = make_candidate(FUEL, source, "d", restored.manifest.bundle)
    release = publish_candidate(origin, CONFIG, candidate)
    assert (release.version, release.manifest.previous) == ("v1.3.0", "v1.0.0")


def test_a_pointer_that_no_tag_registers_is_not_served(origin: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    git(checkout, "pull", "--quiet", "origin", "main")
    pointer, manifest = show(origin, "fuel@v1.2.0")
    write(checkout, FUEL.pointer, pointer + "\n")
    write(checkout, FUEL.manifest, manifest.replace("v1.2.0", "v7.0.0"))
    commit(checkout, "By hand")
    target = read_target(make_remote(origin), Question(config=FUEL))
    with pytest.raises(RefusedError, match=r"carries fuel v7\.0\.0, which no tag registers"):
        find_registered(target, "fuel")


# With real DVC


@pytest.fixture
def released(tmp_path: Path) -> tuple[Path, Workspace]:
    """A project with two releases, their bytes on a DVC remote."""
    origin, checkout = make_project(tmp_path, "fuel")
    workspace = open_project(checkout)
    first = release_project(workspace, write_judged(workspace, "a"))
    release_project(workspace, write_judged(workspace, "b", first.manifest.bundle))
    return origin, workspace


def go_back(workspace: Workspace, to: str = "") -> str:
    environ = dict(make_remote(workspace.root.parent / "origin.git").environ)
    done = roll_back(workspace, workspace.model("fuel"), to=to, reason="", environ=environ)
    return done.release.version


def test_a_rollback_run_again_before_it_serves_goes_to_the_same_release(
    released: tuple[Path, Workspace],
) -> None:
    origin, workspace = released
    assert go_back(workspace) == "v1.0.0"
    before = git(origin, "for-each-ref")
    assert go_back(workspace) == "v1.0.0"
    assert git(origin, "for-each-ref") == before
    finish_rollback(workspace, workspace.model("fuel"))
    with pytest.raises(InputError, match="first release"):
        go_back(workspace)
    assert go_back(workspace, "v1.1.0") == "v1.1.0"


def test_a_release_whose_bytes_are_gone_is_not_gone_back_to(
    released: tuple[Path, Workspace], tmp_path: Path
) -> None:
    origin, workspace = released
    before = git(origin, "for-each-ref")
    body = documents.parse_json(git(origin, "show", f"fuel@v1.0.0:{FUEL.manifest}"), "manifest")
    md5 = body["pointer_md5"]
    (tmp_path / "dvc-remote/files/md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(OutsideError):
        go_back(workspace)
    assert git(origin, "for-each-ref") == before
