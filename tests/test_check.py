"""`gitops check` in a repository that is not this one, from the built wheel: other data, another model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repositories import ENVIRONMENT, Repository, make_bare, make_repository

ROOT = Path(__file__).parent.parent

CONFIG = """\
version: 1
models:
  progression:
    data: data/diabetes.csv
    target: target
    pipeline: training/pipeline.py:train
    params: training/params.yaml
    gate:
      metrics:
        mae: {max: 60, max_regression: 5%}
        r2: {min: 0.3}
"""

PIPELINE = """\
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component(
    base_image="python:3.11-slim",
    install_kfp_package=False,
    embedded_artifact_path=str(Path(__file__).with_name("ridge.py")),
)
def fit(
    train: Input[Dataset],
    params: dict[str, Any],
    model: Output[Model],
    code: dsl.EmbeddedInput[Dataset],
) -> None:
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(code.path).parent))
    import ridge

    ridge.fit(train.path, params, model.path)


@dsl.pipeline(name="progression")
def train(train: Input[Dataset], params: dict[str, Any]) -> Model:
    return fit(train=train, params=params).outputs["model"]
"""

RIDGE = """\
import os

import pandas as pd
from gitops.serving.bundle import write_bundle
from sklearn.linear_model import Ridge


def fit(train, params, model):
    rows = pd.read_csv(train)
    features = rows.drop(columns="target")
    assert "SECRET_TOKEN" not in os.environ, "training code must not see tokens"
    fitted = Ridge(alpha=params["alpha"]).fit(features, rows["target"])
    write_bundle(model, model=fitted, inputs=features, target="target")
"""


@dataclass(frozen=True)
class Team:
    """Another team's repository, and the Python in which the wheel is installed."""

    repository: Repository
    python: Path

    def gitops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**ENVIRONMENT, "HOME": str(self.repository.path.parent), "SECRET_TOKEN": "x"}
        command = [str(self.python), "-m", "gitops", *arguments]
        return subprocess.run(
            command,
            cwd=self.repository.path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def verdict(self) -> dict[str, object]:
        place = self.repository.path / ".gitops" / "progression" / "verdict.json"
        body: dict[str, object] = json.loads(place.read_text())
        return body


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and the locked requirements, nothing of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    uv = [sys.executable, "-m", "uv"]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", str(folder / "venv")], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps"]
    lock = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
    subprocess.run([*install, *lock], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    return python


@pytest.fixture(scope="module")
def team(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A repository with data tracked by DVC and a policy on main; the first model is on a branch."""
    folder = tmp_path_factory.mktemp("team")
    repository = make_repository(folder / "work")
    write_data(repository.path / "data" / "diabetes.csv")
    repository.write("gitops.yaml", CONFIG)
    repository.write("training/README.md", "training code\n")
    environ = {**os.environ, "HOME": str(folder), "DVC_NO_ANALYTICS": "1"}
    for command in (
        ("init", "--quiet"),
        ("remote", "add", "--default", "disk", str(folder / "remote")),
        ("add", "--quiet", "data/diabetes.csv"),
        ("push", "--quiet"),
    ):
        subprocess.run(
            [str(installed), "-m", "dvc", *command], cwd=repository.path, env=environ, check=True
        )
    repository.commit("Track the data")
    make_bare(folder / "origin.git", repository)
    repository.git("remote", "add", "origin", str(folder / "origin.git"))
    repository.git("fetch", "--quiet", "origin")
    repository.git("checkout", "--quiet", "-b", "ridge")
    files: dict[str, str | bytes] = {
        "training/pipeline.py": PIPELINE,
        "training/ridge.py": RIDGE,
        "training/params.yaml": "alpha: 0.1\n",
    }
    repository.commit_files(files, "Train a ridge regression")
    return Team(repository=repository, python=installed)


def write_data(path: Path) -> None:
    """Write the diabetes data that scikit-learn ships: 442 patients, ten measurements."""
    from sklearn.datasets import load_diabetes

    path.parent.mkdir(parents=True)
    load_diabetes(as_frame=True, scaled=False).frame.to_csv(path, index=False)


def test_a_check_trains_judges_and_reports(team: Team) -> None:
    done = team.gitops("check")
    assert done.returncode == 0, done.stderr
    verdict = team.verdict()
    assert verdict["outcome"] == "PASS"
    assert "progression" in done.stdout
    folder = team.repository.path / ".gitops" / "progression"
    assert (folder / "report.md").read_text().strip()
    assert "<html" in (folder / "report.html").read_text()
    assert "fit         success" in done.stderr


def test_nothing_changed_so_the_result_is_reused_and_the_verdict_is_the_same(team: Team) -> None:
    first = team.gitops("check")
    verdict = team.verdict()
    again = team.gitops("check")
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert "a result of the same fingerprint is in the store" in again.stderr
    assert team.verdict() == verdict


def test_the_four_commands_one_by_one_say_the_same_as_check(team: Team) -> None:
    assert team.gitops("check").returncode == 0
    verdict = team.verdict()
    for command in (["plan"], ["run", "experimental"], ["gate"], ["report"]):
        done = team.gitops(*command)
        assert done.returncode == 0, done.stderr
    assert team.verdict() == verdict


def test_a_failing_training_step_shows_its_own_last_lines(team: Team) -> None:
    team.repository.git("checkout", "--quiet", "-B", "broken", "ridge")
    team.repository.commit_files({"training/params.yaml": "alpha: a lot\n"})
    done = team.gitops("check")
    later = [team.gitops(command) for command in ("gate", "report")]
    team.repository.git("checkout", "--quiet", "ridge")
    assert "progression: NO VERDICT: the run failed: " in done.stderr
    for one in (done, *later):
        assert one.returncode == 2
        assert "'fit'" in one.stderr
        assert "The 'alpha' parameter of Ridge must be" in one.stderr
        assert "the whole log: " in one.stderr
    assert all("NO VERDICT for progression: the run failed: " in one.stderr for one in later)


def test_what_failed_on_another_commit_is_not_told_of_this_one(team: Team) -> None:
    folder = team.repository.path / ".gitops" / "progression"
    said = json.loads((folder / "failure.json").read_text())
    assert said["hint"] == "the whole log: .gitops/progression/run.log"
    assert team.gitops("report").returncode == 0
    assert team.gitops("check").returncode == 0
    assert not (folder / "failure.json").exists()


def test_a_model_that_is_not_good_enough_is_refused_with_the_figures(team: Team) -> None:
    team.repository.git("checkout", "--quiet", "-B", "useless", "ridge")
    team.repository.commit_files({"training/params.yaml": "alpha: 1.0e+9\n"})
    done = team.gitops("check")
    team.repository.git("checkout", "--quiet", "ridge")
    assert done.returncode == 1, done.stderr
    assert "r2.min" in done.stdout
    assert "at most 60 is allowed" in " ".join(done.stdout.split())


def test_a_verdict_written_by_hand_releases_nothing(team: Team) -> None:
    team.repository.git("checkout", "--quiet", "-B", "forged", "ridge")
    team.repository.commit_files({"training/params.yaml": "alpha: 1.0e+9\n"})
    assert team.gitops("check").returncode == 1
    place = team.repository.path / ".gitops" / "progression" / "verdict.json"
    verdict = json.loads(place.read_text())
    held = [finding for finding in verdict["findings"] if finding["outcome"] != "FAIL"]
    place.write_text(json.dumps({**verdict, "findings": held, "outcome": "PASS"}))
    done = team.gitops("release", "progression")
    team.repository.git("checkout", "--quiet", "ridge")
    assert done.returncode == 1, done.stderr
    assert "is not what judging its last run gives" in done.stderr
    assert not team.repository.git("tag")


def test_what_was_judged_on_the_branch_is_released_from_main(team: Team) -> None:
    team.repository.git("checkout", "--quiet", "ridge")
    assert team.gitops("check").returncode == 0
    team.repository.git("checkout", "--quiet", "main")
    team.repository.git("merge", "--quiet", "--no-ff", "ridge", "--message=Merge ridge")
    team.repository.git("push", "--quiet", "origin", "main")
    first, again = (team.gitops("release", "progression") for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "progression@v1.0.0 released" in first.stderr
    origin = team.repository.git("ls-remote", "origin")
    assert origin.count("refs/tags/progression@v1.0.0\n") == 1
