"""A merge request as an attack: refused by name, nothing outside touched, nobody called."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.repositories import ENVIRONMENT, Repository, make_repository, render_pointer_file
from tests.test_config import MINIMAL

PAYLOAD = b"#!/bin/sh\ntouch pwned\n"
IMPORT = """\
deps:
- path: data.csv
  repo:
    url: http://127.0.0.1:{port}/evil.git
    rev_lock: {lock}
outs:
- md5: {md5}
  size: 1
  hash: md5
  path: cars.csv
"""


class Listener:
    """A port on 127.0.0.1 that counts who calls."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self._calls: queue.Queue[int] = queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, caller = self.server.accept()
            except OSError:
                return
            self._calls.put(caller[1])
            connection.close()

    def callers(self) -> int:
        """Return how many called before now; a call of our own marks now."""
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            mark = own.getsockname()[1]
            return len(list(iter(lambda: self._calls.get(timeout=10), mark)))


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Data on a remote, a model on main, and a branch for the attack; beside it, what must not change."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious\n")
    repository = make_repository(tmp_path / "work")
    for content in (b"rows\n", PAYLOAD):
        push(tmp_path / "remote", content)
    repository.commit_files(
        {
            ".dvc/config": "[core]\nremote = disk\n['remote \"disk\"']\nurl = ../../remote\n",
            "data/cars.csv.dvc": render_pointer_file("cars.csv", b"rows\n"),
            "gitops.yaml": MINIMAL,
            "pipelines/fuel/pipeline.py": "train = None\n",
        }
    )
    repository.git("checkout", "--quiet", "-b", "attack")
    return repository


def push(remote: Path, content: bytes) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = remote / "files" / "md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def check(repository: Repository, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a gitops command as a user would, in a process of its own."""
    words = command or ("check",)
    return subprocess.run(
        [sys.executable, "-m", "gitops", *words],
        cwd=repository.path,
        env={**ENVIRONMENT, "HOME": str(repository.path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def nothing_outside_changes(repository: Repository) -> Iterator[None]:
    """Compare every file beside the work tree, and Git's hooks, before and after."""
    folders = [p for p in repository.path.parent.iterdir() if p != repository.path]
    folders.append(repository.path / ".git" / "hooks")
    before = [snapshot(folder) for folder in folders]
    yield
    assert [snapshot(folder) for folder in folders] == before
    assert not list(repository.path.parent.rglob("pwned"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def escape_relative(repository: Repository, outside: Path) -> None:
    repository.write("data/cars.csv.dvc", render_pointer_file("../../outside/x", PAYLOAD))


def escape_absolute(repository: Repository, outside: Path) -> None:
    repository.write("data/cars.csv.dvc", render_pointer_file(f"{outside}/x", PAYLOAD))


def escape_through_a_linked_folder(repository: Repository, outside: Path) -> None:
    (repository.path / "link").symlink_to(outside)
    repository.write("evil.dvc", render_pointer_file("link/x", PAYLOAD))


def escape_into_the_hooks(repository: Repository, outside: Path) -> None:
    (repository.path / "hooks").symlink_to(".git/hooks")
    text = render_pointer_file("hooks/pre-commit", PAYLOAD) + "  isexec: true\n"
    repository.write("evil.dvc", text)


def escape_as_a_linked_pointer(repository: Repository, outside: Path) -> None:
    (outside / "evil.dvc").write_text(render_pointer_file("cars.csv", PAYLOAD))
    (repository.path / "data" / "cars.csv.dvc").unlink()
    (repository.path / "data" / "cars.csv.dvc").symlink_to(outside / "evil.dvc")


@pytest.mark.parametrize(
    ("attack", "names"),
    [
        (escape_relative, ("data/cars.csv.dvc", "leaves its folder")),
        (escape_absolute, ("data/cars.csv.dvc", "is absolute")),
        (escape_through_a_linked_folder, ("evil.dvc", "link")),
        (escape_into_the_hooks, ("evil.dvc", "isexec")),
        (escape_as_a_linked_pointer, ("data/cars.csv.dvc", "symbolic link")),
    ],
)
def test_a_pointer_that_would_escape_is_refused_by_name(
    repository: Repository, attack: object, names: tuple[str, str]
) -> None:
    outside = repository.path.parent / "outside"
    assert callable(attack)
    attack(repository, outside)
    repository.commit("Tidy the data")
    with nothing_outside_changes(repository):
        done = check(repository)
    assert done.returncode == 2, done.stderr
    assert all(name in done.stderr for name in names), done.stderr
    assert not (repository.path / ".gitops" / "store").exists()


def test_an_import_pointer_is_refused_and_nobody_is_called(
    repository: Repository, listener: Listener
) -> None:
    text = IMPORT.format(port=listener.port, lock="a" * 40, md5="b" * 32)
    repository.commit_files({"data/cars.csv.dvc": text})
    with nothing_outside_changes(repository):
        done = check(repository)
    assert done.returncode == 2
    assert "data/cars.csv.dvc" in done.stderr
    assert "import" in done.stderr
    assert listener.callers() == 0


def test_a_remote_that_a_merge_request_brings_along_is_not_called(
    repository: Repository, listener: Listener
) -> None:
    remote = (
        f"[core]\nremote = evil\n['remote \"evil\"']\nurl = http://127.0.0.1:{listener.port}/\n"
    )
    repository.commit_files(
        {
            ".dvc/config": remote,
            "data/cars.csv.dvc": render_pointer_file("cars.csv", b"new rows\n"),
        }
    )
    done = check(repository)
    assert done.returncode == 2
    assert "not on the remote 'disk'" in done.stderr
    assert listener.callers() == 0


def test_a_config_local_that_git_tracks_is_nobodys_own(
    repository: Repository, listener: Listener
) -> None:
    local = f"['remote \"disk\"']\nurl = http://127.0.0.1:{listener.port}/\n"
    repository.commit_files(
        {
            ".dvc/config.local": local,
            "data/cars.csv.dvc": render_pointer_file("cars.csv", b"new rows\n"),
        }
    )
    assert check(repository).returncode == 2
    assert listener.callers() == 0


@pytest.mark.parametrize("hook", ["post-checkout", "reference-transaction", "pre-commit"])
def test_hooks_and_monitors_of_the_checkout_do_not_run(repository: Repository, hook: str) -> None:
    place = repository.path / ".git" / "hooks" / hook
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(b"#!/bin/sh\ntouch ../pwned\n")
    place.chmod(0o755)
    repository.git("config", "core.fsmonitor", "touch ../pwned; true")
    assert check(repository, "plan").returncode == 0
    assert not list(repository.path.parent.rglob("pwned"))


@pytest.mark.parametrize(
    "name", ["--output=pwned.py", "$(touch pwned).py", "`touch pwned`;.py", "a\nb.py"]
)
def test_odd_names_are_only_names(repository: Repository, name: str) -> None:
    repository.write(f"pipelines/fuel/{name}", "x = 1\n")
    repository.commit()
    done = check(repository, "plan")
    assert done.returncode == 0, done.stderr
    assert "fuel: run: code changed" in done.stdout
    assert not list(repository.path.parent.rglob("pwned*"))


@pytest.mark.parametrize(
    "option", ["--base=--output=pwned", "--target=--upload-pack=touch pwned", "--head=-f"]
)
def test_an_option_is_never_handed_to_git_as_one(repository: Repository, option: str) -> None:
    assert check(repository, "plan", option).returncode == 2
    assert not (repository.path / "pwned").exists()


def test_training_code_cannot_see_tokens(repository: Repository) -> None:
    from gitops.flow.engine import clean_environment

    environ = {"PATH": "/bin", "CI_JOB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", **os.environ}
    kept = clean_environment(environ)
    assert "PATH" in kept
    assert not [name for name in kept if "TOKEN" in name or "SECRET" in name or "KEY" in name]
