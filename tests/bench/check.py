"""`gitops check` of the linear model beside the same training as a plain script."""

from __future__ import annotations

import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from tests.bench.timing import time_command
from tests.repositories import make_repository

ROOT = Path(__file__).parent.parent.parent
LINEAR = ROOT / "tests" / "demo" / "merge_requests" / "1-linear" / "pipelines" / "fuel"


def measure_check(workdir: Path) -> dict[str, Any]:
    """Return median seconds; the aims are 6 more than the script, and 1 when nothing changed."""
    repository = make_repository(workdir / "work")
    path = repository.path
    for name in ("data", ".dvc"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy(ROOT / "tests" / "demo" / "repository" / "gitops.yaml", path / "gitops.yaml")
    shutil.copy(ROOT / "requirements.lock", path / "requirements.lock")
    repository.commit("Track the data")
    repository.git("checkout", "--quiet", "-b", "linear")
    shutil.copytree(ROOT / "pipelines" / "fuel", path / "pipelines" / "fuel")
    shutil.copytree(LINEAR, path / "pipelines" / "fuel", dirs_exist_ok=True)
    repository.commit("Train a linear model")
    rounds = [_measure_round(path, workdir / "out") for _ in range(4)][1:]
    first, again, script = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "check_s": first,
        "script_s": script,
        "difference_s": first - script,
        "check_again_s": again,
    }


def _measure_round(path: Path, output: Path) -> tuple[float, float, float]:
    """Time a first check, a second one, and the script on the same training rows."""
    shutil.rmtree(path / ".gitops", ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    check = [sys.executable, "-m", "gitops", "check"]
    first, again = time_command(check, path), time_command(check, path)
    (train,) = (path / ".gitops" / "store" / "local" / "splits").glob("*/train.csv")
    script = [sys.executable, "pipelines/fuel/train.py", str(train)]
    script += ["pipelines/fuel/params.yaml", str(output)]
    return first, again, time_command(script, path)
