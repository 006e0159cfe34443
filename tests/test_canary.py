"""A token that must be nowhere: not in output, documents, reports, argv or a second remote's ears."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repositories import ENVIRONMENT, Repository, make_repository, render_pointer_file
from tests.test_config import MINIMAL
from tests.test_hostile import push

CANARY = "glpat-canary-Q7w9X2"
SHIM = """\
#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word" >> '{log}'; done
exec '{git}' "$@"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A team's repository whose origin's address has a token in it, at a port where nobody answers."""
    repository = make_repository(tmp_path / "work")
    push(tmp_path / "remote", b"rows\n")
    repository.commit_files(
        {
            ".dvc/config": "[core]\nremote = disk\n['remote \"disk\"']\nurl = ../../remote\n",
            "data/cars.csv.dvc": render_pointer_file("cars.csv", b"rows\n"),
            "gitops.yaml": MINIMAL,
            "pipelines/fuel/pipeline.py": "train = None\n",
        }
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://oauth2:{CANARY}@127.0.0.1:{port}/team/cars.git"
    repository.git("remote", "add", "origin", address)
    repository.git("checkout", "--quiet", "-b", "topic")
    repository.commit_files({"pipelines/fuel/train.py": "x = 1\n"})
    return repository


def listen_to_git(folder: Path) -> tuple[Path, Path]:
    """Put a `git` before the real one that notes its arguments; return its folder and its notes."""
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout
    notes, bin_folder = folder / "argv.txt", folder / "bin"
    bin_folder.mkdir()
    notes.touch()
    shim = bin_folder / "git"
    shim.write_text(SHIM.format(log=notes, git=real.strip()))
    shim.chmod(0o755)
    return bin_folder, notes


@pytest.mark.parametrize(
    "command",
    [
        "plan --json",
        "check",
        "run experimental",
        "run production",
        "gate",
        "report",
        "release fuel",
        "rollout fuel",
        "rollback fuel",
        "status",
        "waive fuel --reason because",
        "doctor",
        "note",
        "prepush",
    ],
)
def test_no_command_shows_a_token_whatever_goes_wrong(
    repository: Repository, tmp_path: Path, command: str
) -> None:
    folder, notes = listen_to_git(tmp_path)
    config = (repository.path / ".git" / "config").read_bytes()
    environ = {
        **ENVIRONMENT,
        "PATH": f"{folder}{os.pathsep}{ENVIRONMENT['PATH']}",
        "HOME": str(tmp_path),
        "GIT_TRACE": "1",
        "GITOPS_GITLAB_TOKEN": CANARY,
        "CI_JOB_TOKEN": CANARY,
    }
    done = subprocess.run(
        [sys.executable, "-m", "gitops", *command.split()],
        cwd=repository.path,
        env=environ,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1, 2, 4, 5), done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert CANARY not in notes.read_text()
    written = [path for path in (repository.path / ".gitops").rglob("*") if path.is_file()]
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]
    assert (repository.path / ".git" / "config").read_bytes() == config
