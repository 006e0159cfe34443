"""The commit to compare with: where branches part, shallow clones, and when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops.adapters.git.repository import GitRepository
from gitops.errors import InputError, OutsideError
from tests.repositories import ENVIRONMENT, Repository, make_bare, make_clone, make_repository

if TYPE_CHECKING:
    from pathlib import Path


def look(repository: Repository) -> GitRepository:
    return GitRepository(repository.path, ENVIRONMENT)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "work")


def test_the_base_is_where_a_branch_left_its_target(repository: Repository) -> None:
    fork = repository.commit()
    repository.git("checkout", "--quiet", "-b", "topic")
    head = repository.commit_files({"mine": "1"})
    repository.git("checkout", "--quiet", "main")
    repository.commit_files({"theirs": "1"})
    base = look(repository).find_base(head, "main", fetch=False)
    assert (base.commit, base.reason) == (fork, "where it left main")


def test_on_the_tip_of_the_target_the_base_is_the_commit_before(repository: Repository) -> None:
    before = repository.commit()
    head = repository.commit()
    assert look(repository).find_base(head, "main", fetch=False).commit == before


def test_a_given_commit_is_the_base_itself(repository: Repository) -> None:
    first = repository.commit()
    repository.commit()
    head = repository.commit()
    assert look(repository).find_base(head, first, fetch=False).commit == first


def test_for_the_first_commit_everything_counts_as_changed(repository: Repository) -> None:
    head = repository.commit()
    base = look(repository).find_base(head, "main", fetch=False)
    assert base.commit is None
    assert base.reason == "this is the first commit, so everything counts as changed"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("0" * 40, "all zeros"),
        ("f" * 40, "is not in this clone"),
        ("no-such-branch", "there is no branch no-such-branch here"),
        ("unrelated", "no commit in common with unrelated was found"),
    ],
)
@pytest.mark.parametrize("fetch", [False, True])
def test_without_a_base_everything_counts_as_changed(
    repository: Repository, target: str, reason: str, *, fetch: bool
) -> None:
    repository.commit()
    repository.git("checkout", "--quiet", "--orphan", "unrelated")
    repository.commit("Another beginning")
    repository.git("checkout", "--quiet", "main")
    head = repository.commit()
    base = look(repository).find_base(head, target, fetch=fetch)
    assert base.commit is None
    assert reason in base.reason
    assert base.reason.endswith("so everything counts as changed")


@pytest.fixture
def forked(tmp_path: Path) -> tuple[Path, str, str]:
    """A remote whose branches left each other more than a CI clone's depth ago; its fork, topic."""
    remote = make_bare(tmp_path / "remote")
    fork = remote.commit_history("main", 3, "early")
    topic = remote.commit_history("topic", 25, "mine", start=fork)
    remote.commit_history("main", 25, "theirs")
    return remote.path, fork, topic


def test_a_shallow_clone_fetches_the_given_base_alone(
    forked: tuple[Path, str, str], tmp_path: Path
) -> None:
    remote, fork, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--depth=20", "--branch=topic")
    git = look(clone)
    assert git.is_shallow()
    assert git.find_base(topic, fork, fetch=False).commit is None
    assert git.find_base(topic, fork, fetch=True).commit == fork
    assert int(clone.git("rev-list", "--count", "HEAD")) == 20
    changed = {raw.path for raw in git.read_changes(fork, topic)}
    assert changed == {f"mine/{number}.txt" for number in range(25)}


@pytest.mark.parametrize("protocol", ["0", "2"])
def test_a_shallow_clone_deepens_until_the_branches_meet(
    forked: tuple[Path, str, str], tmp_path: Path, protocol: str
) -> None:
    remote, fork, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--depth=20", "--branch=topic")
    # The old protocol refuses to be asked for a commit by its id, as some servers do.
    clone.git("config", "protocol.version", protocol)
    git = look(clone)
    assert git.find_base(topic, "main", fetch=False).commit is None
    assert git.find_base(topic, "main", fetch=True).commit == fork


def test_a_shallow_clone_of_depth_one_finds_the_commit_before(
    forked: tuple[Path, str, str], tmp_path: Path
) -> None:
    remote, _, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--depth=1", "--branch=topic")
    git = look(clone)
    base = git.find_base(topic, "topic", fetch=True)
    assert base.commit == git.read_parents(topic)[0]


def test_a_remote_that_is_gone_leaves_no_base_and_says_so(
    forked: tuple[Path, str, str], tmp_path: Path
) -> None:
    remote, fork, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--depth=20", "--branch=topic")
    remote.rename(tmp_path / "moved")
    base = look(clone).find_base(topic, fork, fetch=True)
    assert base.commit is None
    assert "does not appear to be a git repository" in base.reason
    with pytest.raises(OutsideError, match="git fetch: "):
        look(clone).fetch("origin", ["main"])


def test_fetching_a_missing_branch_keeps_a_full_clone_full(
    forked: tuple[Path, str, str], tmp_path: Path
) -> None:
    remote, fork, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--single-branch", "--branch=topic")
    assert look(clone).find_base(topic, "main", fetch=True).commit == fork
    assert not look(clone).is_shallow()


@pytest.mark.parametrize("target", ["--upload-pack=x", "-f", "a..b", "a.lock", "a b", "/a", "a/"])
def test_a_target_that_is_no_branch_name_is_refused(repository: Repository, target: str) -> None:
    head = repository.commit()
    with pytest.raises(InputError, match="is not a branch name"):
        look(repository).find_base(head, target, fetch=True)


def test_neither_hooks_nor_monitors_of_the_repository_run(
    forked: tuple[Path, str, str], tmp_path: Path
) -> None:
    remote, fork, topic = forked
    clone = make_clone(remote, tmp_path / "clone", "--depth=20", "--branch=topic")
    trap = clone.write(".git/trap", f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for hook in ("reference-transaction", "post-index-change", "post-checkout"):
        (clone.path / ".git/hooks" / hook).unlink(missing_ok=True)
        (clone.path / ".git/hooks" / hook).symlink_to(trap)
    clone.git("config", "core.fsmonitor", str(trap))
    git = look(clone)
    git.find_base(topic, "main", fetch=True)
    git.read_changes(fork, topic)
    git.is_clean()
    assert not (tmp_path / "sprung").exists()
