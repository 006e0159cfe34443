"""The pre-push hook, called as Git and as pre-commit call it, in real repositories."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gitops.errors import InputError
from gitops.flow.pushing import Push, forecast, parse_pushes
from gitops.flow.workspace import open_workspace
from tests.faulty_remote import Fault, serve_faulty_remote
from tests.repositories import ENVIRONMENT, make_bare, make_repository

ROOT = Path(__file__).parent.parent
ZEROS = "0" * 40
CARS = b"mpg,wght\n18,3504\n25,2448\n"
MORE_CARS = CARS + b"36,1950\n"
CONFIG = """\
version: 1
models:
  fuel:
    data: data/cars.csv
    target: mpg
    pipeline: pipelines/fuel/pipeline.py:train
    gate: {metrics: {rmse: {max: 4.5}}}
"""


class Desk:
    """A clone with one branch on its Git remote, and a DVC remote beside it."""

    def __init__(self, folder: Path, remote: str = "") -> None:
        self.repository = make_repository(folder / "work")
        self.store = folder / "store"
        self.put(CARS)
        self.main = self.repository.commit_files(
            {
                "gitops.yaml": CONFIG,
                ".dvc/config": f"[core]\nremote = r\n['remote \"r\"']\nurl = {remote or self.store}\n",
                "data/cars.csv.dvc": render(CARS),
                "pipelines/fuel/pipeline.py": "# trains\n",
            }
        )
        self.origin = make_bare(folder / "origin.git", self.repository)
        self.repository.git("remote", "add", "origin", str(self.origin.path))
        self.repository.git("fetch", "--quiet", "origin")
        self.repository.git("switch", "--quiet", "--create", "more-cars")

    def put(self, content: bytes) -> None:
        name = md5(content)
        path = self.store / "files" / "md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def change_data(self) -> str:
        return self.repository.commit_files({"data/cars.csv.dvc": render(MORE_CARS)}, "More cars")

    def hook(
        self, *lines: str, words: tuple[str, ...] = (), **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gitops", "prepush", *words],
            cwd=self.repository.path,
            input="".join(f"{line}\n" for line in lines),
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), **environ},
            capture_output=True,
            text=True,
            check=False,
        )


def md5(content: bytes) -> str:
    import hashlib

    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def render(content: bytes) -> str:
    return f"outs:\n- md5: {md5(content)}\n  size: {len(content)}\n  hash: md5\n  path: cars.csv\n"


def line(sha: str, branch: str = "more-cars", old: str = ZEROS) -> str:
    return f"refs/heads/{branch} {sha} refs/heads/{branch} {old}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_new_branch_without_its_data_is_warned_about_and_pushed(desk: Desk) -> None:
    done = desk.hook(line(desk.change_data()), words=("origin", "file:///origin.git"))
    assert done.returncode == 0
    assert "data/cars.csv.dvc: 1 data object is not on the remote 'r'" in done.stderr
    assert "hint: dvc push -r r data/cars.csv.dvc" in done.stderr
    assert "fuel: run: data changed: data/cars.csv.dvc" in done.stderr


def test_data_that_is_there_is_not_mentioned(desk: Desk) -> None:
    desk.put(MORE_CARS)
    done = desk.hook(line(desk.change_data()), words=("--strict",))
    assert done.returncode == 0
    assert "fuel: run" in done.stderr
    assert "warning" not in done.stderr


def test_strict_refuses_what_is_otherwise_warned_about(desk: Desk) -> None:
    assert desk.hook(line(desk.change_data()), words=("--strict",)).returncode == 2


def test_a_deleted_branch_has_nothing_to_forecast(desk: Desk) -> None:
    done = desk.hook(f"(delete) {ZEROS} refs/heads/more-cars {desk.main}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_force_push_is_compared_with_the_target_branch(desk: Desk) -> None:
    """What the branch held before is gone from the clone: nobody may need it."""
    gone = "1234567890" * 4
    done = desk.hook(line(desk.change_data(), old=gone))
    assert done.returncode == 0
    assert "where it left main" in done.stderr
    assert "is not on the remote" in done.stderr


def test_several_branches_are_each_forecast(desk: Desk) -> None:
    sha = desk.change_data()
    done = desk.hook(line(sha), line(desk.main, "same"), f"refs/tags/v1 {sha} refs/tags/v1 {ZEROS}")
    assert done.returncode == 0
    assert done.stderr.count("a merge request of") == 2
    assert "more-cars would" in done.stderr
    assert "same would" in done.stderr


def test_nothing_to_push_says_nothing(desk: Desk) -> None:
    assert desk.hook().stderr == ""


def test_pre_commit_names_what_is_pushed_in_variables(desk: Desk) -> None:
    sha = desk.change_data()
    done = desk.hook(PRE_COMMIT_TO_REF=sha, PRE_COMMIT_REMOTE_BRANCH="refs/heads/more-cars")
    assert done.returncode == 0
    assert "a merge request of more-cars" in done.stderr
    assert "is not on the remote" in done.stderr


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROP])
def test_a_broken_network_never_blocks_a_push(tmp_path: Path, fault: Fault) -> None:
    with serve_faulty_remote() as server:
        server.fault = fault
        desk = Desk(tmp_path, server.url)
        done = desk.hook(line(desk.change_data()), words=("--strict",))
    assert done.returncode == 0
    assert "the data remote was not asked" in done.stderr
    assert "fuel: run" in done.stderr


def test_a_network_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitops.flow.pushing.REMOTE_SECONDS", 2.0)
    with serve_faulty_remote() as server:
        server.fault = Fault.HANG
        desk = Desk(tmp_path, server.url)
        workspace = open_workspace(desk.repository.path, ENVIRONMENT, head=desk.change_data())
        base = workspace.repository.find_base(workspace.request.head, "main", fetch=False)
        found = forecast(workspace, base)
    assert "no answer within 2 s" in found.unasked
    assert found.plan.planned


def test_a_hostile_pointer_is_shown_and_never_followed(desk: Desk) -> None:
    with serve_faulty_remote() as server:
        text = render(CARS) + f"deps:\n- repo:\n    url: {server.url}\n  path: x\n"
        sha = desk.repository.commit_files({"data/cars.csv.dvc": text})
        done = desk.hook(line(sha))
        assert desk.hook(line(sha), words=("--strict",)).returncode == 2
        assert server.requests == []
    assert done.returncode == 0
    assert "refused: data/cars.csv.dvc" in done.stderr


def test_a_repository_that_is_not_set_up_is_pushed_with_a_hint(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.repository.git("rm", "--quiet", "gitops.yaml")
    done = desk.hook(line(desk.repository.commit("Leave")))
    assert done.returncode == 0
    assert "there is no gitops.yaml" in done.stderr


def test_lines_that_git_never_writes_are_refused(desk: Desk) -> None:
    for text in ("x", f"a {ZEROS} b --output=pwned", f"refs/heads/a ; refs/heads/a {ZEROS}"):
        with pytest.raises(InputError, match="pre-push"):
            parse_pushes(text)


def test_a_branch_with_an_odd_name_is_only_shown() -> None:
    sha = "a" * 40
    [push] = parse_pushes(f"HEAD {sha} refs/heads/$(touch;x) {ZEROS}\n")
    assert push == Push(commit=sha, branch="$(touch;x)")


def test_a_real_push_runs_the_hook_and_goes_through(desk: Desk) -> None:
    hook = desk.repository.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    entry = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]["entry"]
    program, *words = entry.split()
    assert program == "gitops"
    called = " ".join([sys.executable, "-m", "gitops", *words])
    hook.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec {called} "$@" 2>hook.log\n')
    hook.chmod(0o755)
    desk.change_data()
    desk.repository.git("push", "--quiet", "origin", "more-cars")
    assert "is not on the remote" in (desk.repository.path / "hook.log").read_text()
    assert desk.origin.git("rev-parse", "more-cars")
    desk.repository.git("push", "--quiet", "origin", "--delete", "more-cars")


def test_the_hook_is_one_that_pre_commit_would_accept() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["stages"] == ["pre-push"]
    assert hook["always_run"] is True
    assert hook["pass_filenames"] is False
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert shutil.which(hook["entry"].split()[0], path=str(Path(sys.executable).parent))
