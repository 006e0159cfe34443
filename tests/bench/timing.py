"""Commands come in; the seconds that they take as whole processes go out."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def time_command(
    command: Sequence[str],
    cwd: Path,
    *,
    environ: Mapping[str, str] | None = None,
    codes: Sequence[int] = (0,),
) -> float:
    """Run a command once; return its wall-clock seconds. Another exit code is an error."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode not in codes:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def time_in_turn(runs: int, *measures: Sequence[str], cwd: Path) -> list[float]:
    """Return the median seconds of each command, run in turn so that a drifting machine is fair."""
    for command in measures:
        time_command(command, cwd)
    rounds = [[time_command(command, cwd) for command in measures] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]
