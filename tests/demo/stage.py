"""A folder comes in; a small world goes out: a bare repository, a DVC remote, two clones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.demo.samples import CARS, CHANGES, ROOT, read_sample, write_rows
from tests.demo.story import FIRST_YEARS, MergeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
_KEPT_VARIABLES = ("PATH", "LANG", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")


class StageError(Exception):
    """The world could not be set up: a command that must work did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the story happens.

    Attributes:
        root: folder of everything, emptied at the start.
        environ: environment of every command: an empty HOME, one author, no other settings.
    """

    root: Path
    environ: Mapping[str, str]

    @property
    def desk(self) -> Path:
        """Return the data scientist's clone."""
        return self.root / "desk"

    @property
    def ci(self) -> Path:
        """Return the clone of the pipeline that runs on the target branch."""
        return self.root / "ci"

    @property
    def origin(self) -> Path:
        """Return the bare repository that everybody pushes to."""
        return self.root / "origin.git"

    @property
    def remote(self) -> Path:
        """Return the DVC remote."""
        return self.root / "remote"

    def on_day(self, day: int) -> dict[str, str]:
        """Return the environment with Git's clock on a fixed day of the story."""
        date = f"2026-03-{day:02d}T09:00:00+00:00"
        return {**self.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}

    def in_ci(self, day: int) -> dict[str, str]:
        """Return what GitLab sets in a pipeline of the protected target branch."""
        return {
            **self.on_day(day),
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_PROJECT_PATH": "demo/fuel",
            "CI_COMMIT_BRANCH": "main",
            "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_REF_PROTECTED": "true",
        }

    def git(self, *arguments: str, cwd: Path, day: int = 1) -> str:
        """Run git, quietly; raise StageError with what it said."""
        return run_quietly(("git", *arguments), cwd=cwd, env=self.on_day(day))

    def dvc(self, *arguments: str, day: int = 1) -> str:
        """Run DVC in the data scientist's clone, quietly."""
        return run_quietly((PYTHON, "-m", "dvc", *arguments), cwd=self.desk, env=self.on_day(day))


def run_quietly(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """Return what a command prints; raise StageError when it fails or takes two minutes."""
    finished = subprocess.run(
        command, cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=120, check=False
    )
    if finished.returncode:
        raise StageError(f"{' '.join(command)}: {finished.stderr.strip() or finished.stdout}")
    return finished.stdout.strip()


def open_stage(root: Path, environ: Mapping[str, str]) -> Stage:
    """Empty the folder and build the world of day one: data, policy, no model."""
    shutil.rmtree(root, ignore_errors=True)
    for name in ("home", "remote", "desk"):
        (root / name).mkdir(parents=True)
    (root / "home/.gitconfig").write_text("[user]\n    name = Ada\n    email = ada@example.com\n")
    stage = Stage(root=root, environ=make_environment(root, environ))
    stage.git("init", "--quiet", "--bare", "--initial-branch=main", str(stage.origin), cwd=root)
    stage.git("init", "--quiet", "--initial-branch=main", cwd=stage.desk)
    stage.git("remote", "add", "origin", "../origin.git", cwd=stage.desk)
    _write_first_files(stage)
    _track_data(stage)
    stage.git("add", "--all", cwd=stage.desk)
    stage.git("commit", "--quiet", "-m", "The data, and what a good model is", cwd=stage.desk)
    stage.git("push", "--quiet", "--set-upstream", "origin", "main", cwd=stage.desk)
    stage.git("clone", "--quiet", "origin.git", "ci", cwd=root)
    return stage


def make_environment(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Keep what a process needs to start; replace everything that could come from this machine."""
    home = root / "home"
    kept = {name: environ[name] for name in _KEPT_VARIABLES if name in environ}
    return {
        **kept,
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(PYTHON).parent), environ.get("PATH", os.defpath))),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "96",
    }


def _write_first_files(stage: Stage) -> None:
    shutil.copytree(HERE / "repository", stage.desk, dirs_exist_ok=True)
    shutil.copyfile(ROOT / "requirements.lock", stage.desk / "requirements.lock")
    (stage.desk / ".dvc").mkdir()
    shutil.copyfile(ROOT / ".dvc/.gitignore", stage.desk / ".dvc/.gitignore")
    # Relative to .dvc, so that the same committed line is right in both clones.
    config = "[core]\n    remote = shared\n['remote \"shared\"']\n    url = ../../remote\n"
    (stage.desk / ".dvc/config").write_text(config, "utf-8")


def _track_data(stage: Stage) -> None:
    header, *cars = read_sample(CARS)
    year = header.index("year")
    first = [car for car in cars if int(car[year]) <= FIRST_YEARS]
    write_rows(stage.desk / CARS, [header, *first])
    stage.dvc("add", "--quiet", CARS)
    stage.dvc("push", "--quiet")


def apply_merge_request(stage: Stage, request: MergeRequest) -> None:
    """Change the data scientist's work tree as the merge request does; nothing is committed."""
    folder = HERE / "merge_requests" / request.folder
    if folder.is_dir():
        shutil.copytree(folder, stage.desk, dirs_exist_ok=True)
    for name in request.own:
        (stage.desk / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, stage.desk / name)
    if request.data in CHANGES:
        name, make_rows, is_pushed = CHANGES[request.data]
        write_rows(stage.desk / name, make_rows())
        stage.dvc("add", "--quiet", name)
        if is_pushed:
            stage.dvc("push", "--quiet", name)
