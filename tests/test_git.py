"""Git, read without trust: real repositories, odd names, shallow clones, hostile settings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.adapters.git.process import explain_errors, make_environment, run_git
from gitops.adapters.git.repository import GitRepository
from gitops.change import Status
from gitops.errors import InputError, OutsideError
from gitops.pointer import check_outside, parse_pointer, paths_to_check
from tests.repositories import (
    ENVIRONMENT,
    Repository,
    make_repository,
    render_pointer_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ODD_NAMES = ("a\nb.dvc", 'quo"te.dvc', "été.dvc", "--output=pwn.dvc", "$(touch x).dvc", ":(top)z")
BEFORE = render_pointer_file("cars.csv", b"before")
AFTER = render_pointer_file("cars.csv", b"after")


def look(repository: Repository) -> GitRepository:
    return GitRepository(repository.path, ENVIRONMENT)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "work")


# Commits, branches, tags


def test_the_root_is_found_from_a_folder_below(repository: Repository) -> None:
    below = repository.write("deep/er/file").parent
    assert GitRepository.find(below).path.samefile(repository.path)


def test_a_folder_outside_any_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="not a git repository") as refusal:
        GitRepository.find(tmp_path)
    assert "git init" in refusal.value.hint


def test_a_commit_tells_its_parents_message_and_time(repository: Repository) -> None:
    first = repository.commit("First")
    second = repository.commit("Second\n\nRollback-To: v1\n")
    git = look(repository)
    assert git.read_commit("HEAD") == second
    assert git.read_parents(second) == (first,)
    assert git.read_parents(first) == ()
    assert git.read_message(second) == "Second\n\nRollback-To: v1\n"
    assert git.read_committed_at(second) == git.read_committed_at(first) + 60


def test_an_unknown_revision_is_named_with_a_next_step(repository: Repository) -> None:
    repository.commit()
    with pytest.raises(InputError, match="'v9' is not a commit") as refusal:
        look(repository).read_commit("v9")
    assert "git fetch" in refusal.value.hint


@pytest.mark.parametrize("revision", ["--output=pwn", "-f", "", "a b", "a\0b", "HEAD:x", "a\nb"])
def test_a_revision_that_could_be_an_option_is_refused(
    repository: Repository, revision: str
) -> None:
    with pytest.raises(InputError, match="cannot name a commit"):
        look(repository).read_commit(revision)


def test_only_full_ids_reach_the_commands_that_read(repository: Repository) -> None:
    with pytest.raises(InputError, match="not the full id"):
        look(repository).read_changes(None, "--output=pwn")


def test_the_branch_is_known_unless_head_is_detached(repository: Repository) -> None:
    repository.commit()
    repository.git("tag", "main")
    assert look(repository).read_head_branch() == "main"
    repository.git("checkout", "--quiet", "--detach")
    assert look(repository).read_head_branch() is None


def test_tags_name_the_commits_behind_them(repository: Repository) -> None:
    first = repository.commit()
    repository.git("tag", "--annotate", "--message=x", "fuel@v1.0.0")
    second = repository.commit()
    repository.git("tag", "fuel@v1.1.0")
    repository.git("tag", "wine@v1.0.0")
    tags = look(repository).read_tags("fuel@v*")
    assert [(tag.name, tag.commit) for tag in tags] == [
        ("fuel@v1.0.0", first),
        ("fuel@v1.1.0", second),
    ]


def test_uncommitted_files_are_listed(repository: Repository) -> None:
    repository.commit_files({"a": "1", "b": "1", ".gitignore": "ignored\n"})
    assert look(repository).is_clean()
    repository.write("a", "2")
    repository.write("new\nfile", "1")
    repository.write("ignored", "1")
    repository.git("mv", "b", "c")
    assert set(look(repository).read_uncommitted()) == {"a", "b", "c", "new\nfile"}


# Changes and contents


def test_changes_tell_additions_deletions_renames_and_modes(repository: Repository) -> None:
    repository.commit_files({"cars.csv.dvc": BEFORE, "gone": "2", "old.py": "x\n" * 50})
    base = repository.git("rev-parse", "HEAD")
    repository.git("mv", "old.py", "new.py")
    repository.git("rm", "--quiet", "gone")
    head = repository.commit_files({"cars.csv.dvc": AFTER, "added": "1"})
    found = {raw.path: raw for raw in look(repository).read_changes(base, head)}
    assert {path: raw.status for path, raw in found.items()} == {
        "added": Status.ADDED,
        "cars.csv.dvc": Status.MODIFIED,
        "gone": Status.DELETED,
        "new.py": Status.RENAMED,
    }
    assert found["new.py"].old_path == "old.py"


def test_without_a_base_every_file_is_added(repository: Repository) -> None:
    head = repository.commit_files({"a": "1", "b/c": "1"})
    found = look(repository).read_changes(None, head)
    assert [(raw.path, raw.status) for raw in found] == [
        ("a", Status.ADDED),
        ("b/c", Status.ADDED),
    ]


def test_odd_names_come_back_as_they_are(repository: Repository) -> None:
    base = repository.commit()
    head = repository.commit_files(dict.fromkeys(ODD_NAMES, BEFORE))
    git = look(repository)
    assert {raw.path for raw in git.read_changes(base, head)} == set(ODD_NAMES)
    assert git.read_files(head, ODD_NAMES) == dict.fromkeys(ODD_NAMES, BEFORE.encode())
    assert git.read_modes(head, ODD_NAMES) == dict.fromkeys(ODD_NAMES, "100644")
    assert {entry.path for entry in git.read_tree(head)} == set(ODD_NAMES)


def test_a_name_that_is_not_utf8_comes_back_as_it_is(repository: Repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"x")
    repository.git(
        "update-index", "--add", "--cacheinfo", b"100644," + blob.encode() + b",\xff.dvc"
    )
    repository.git("commit", "--quiet", "--message=odd")
    head = repository.git("rev-parse", "HEAD")
    (raw,) = look(repository).read_changes(None, head)
    assert look(repository).read_file(head, raw.path) == b"x"


def test_files_are_read_from_the_commit_and_not_from_the_work_tree(repository: Repository) -> None:
    head = repository.commit_files({"a": "1", "folder/b": "\0\n2"})
    repository.write("a", "changed")
    git = look(repository)
    assert git.read_files(head, ["a", "folder/b", "missing", "folder"]) == {
        "a": b"1",
        "folder/b": b"\0\n2",
    }
    assert git.read_file(head, "missing") is None


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(repository: Repository) -> None:
    head = repository.commit_files({"big.dvc": "x" * 11})
    with pytest.raises(InputError, match=r"big\.dvc: it has 11 bytes, more than the 10 allowed"):
        look(repository).read_file(head, "big.dvc", limit=10)


def test_more_paths_than_a_command_line_holds_are_read(repository: Repository) -> None:
    names = {f"{'d' * 200}/{number:04}.dvc": str(number) for number in range(700)}
    head = repository.commit_files(dict(names))
    assert len(look(repository).read_files(head, names)) == 700


def test_a_tree_is_listed_below_the_given_paths_only(repository: Repository) -> None:
    head = repository.commit_files({"a/x": "1", "a/b/y": "1", "ab/z": "1", "w": "1"})
    git = look(repository)
    assert [entry.path for entry in git.read_tree(head, ["a", "w"])] == ["a/b/y", "a/x", "w"]
    assert len(git.read_tree(head)) == 4


def test_a_pointer_that_became_a_symlink_is_seen_and_refused(repository: Repository) -> None:
    base = repository.commit_files({"cars.csv.dvc": BEFORE})
    (repository.path / "cars.csv.dvc").unlink()
    (repository.path / "cars.csv.dvc").symlink_to("../outside.dvc")
    head = repository.commit()
    git = look(repository)
    (raw,) = git.read_changes(base, head)
    assert (raw.status, raw.new_mode) == (Status.TYPE_CHANGED, "120000")
    with pytest.raises(InputError, match="it is a symbolic link"):
        git.read_file(head, "cars.csv.dvc")


def test_a_pointer_below_a_symlinked_folder_is_refused(repository: Repository) -> None:
    (repository.path / "hooks").symlink_to(".git/hooks")
    pointer_file = render_pointer_file("hooks/pre-commit", b"#!/bin/sh")
    head = repository.commit_files({"evil.dvc": pointer_file})
    git = look(repository)
    pointer = parse_pointer(git.read_files(head, ["evil.dvc"])["evil.dvc"], "evil.dvc")
    with pytest.raises(InputError, match="hooks, on the way to its data, is a symbolic link"):
        check_outside(pointer, git.read_modes(head, paths_to_check(pointer)))


def test_a_submodule_cannot_hide_its_change(repository: Repository) -> None:
    def commit_link(target: str) -> str:
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{target},sub")
        repository.git("commit", "--quiet", "--message=sub")
        return repository.git("rev-parse", "HEAD")

    hidden = '[submodule "sub"]\n\tpath = sub\n\turl = ./x\n\tignore = all\n'
    repository.commit_files({".gitmodules": hidden})
    base, head = commit_link("1" * 40), commit_link("2" * 40)
    assert [raw.path for raw in look(repository).read_changes(base, head)] == ["sub"]


# Hostile settings


def is_running(pid: str) -> bool:
    status = Path("/proc") / pid / "stat"
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(true: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_replaced_objects_are_not_believed(repository: Repository) -> None:
    head = repository.commit_files({"a": "true"})
    forged = repository.commit_files({"a": "forged"})
    repository.git("replace", head, forged)
    assert look(repository).read_file(head, "a") == b"true"


def test_variables_that_would_change_what_is_read_are_dropped() -> None:
    kept = make_environment({"PATH": "p", "GIT_DIR": "x", "GIT_SSH_COMMAND": "ssh -v"})
    assert "GIT_DIR" not in kept
    assert (kept["PATH"], kept["GIT_SSH_COMMAND"]) == ("p", "ssh -v")
    assert (kept["GIT_CONFIG_NOSYSTEM"], kept["GIT_TERMINAL_PROMPT"]) == ("1", "0")


def test_credentials_and_control_characters_never_reach_a_message() -> None:
    said = b"x\nfatal: cannot read https://bot:glpat-secret@example.org/a.git\x1b[31m\n"
    assert explain_errors(said) == "x; fatal: cannot read https://***@example.org/a.git?[31m"


def test_a_git_that_hangs_is_ended_with_its_children(repository: Repository) -> None:
    pid_file = repository.path / "pid"
    repository.git("config", "alias.hang", f"!echo $$ > {pid_file}; exec sleep 60")
    with pytest.raises(OutsideError, match=r"within 1 seconds"):
        run_git(repository.path, ["hang"], environ=ENVIRONMENT, seconds=1)
    assert wait_until(lambda: not is_running(pid_file.read_text().strip()))


def test_a_missing_git_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="git is not installed"):
        run_git(repository.path, ["version"], environ={"PATH": str(tmp_path)})


def test_a_name_with_a_nul_byte_is_refused(repository: Repository) -> None:
    head = repository.commit()
    with pytest.raises(InputError, match="NUL"):
        look(repository).read_file(head, "a\0b")
