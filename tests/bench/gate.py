"""A million held-out rows come in; the gate's intervals beside SciPy's bootstrap of them go out.

Both resample rows in pairs, 2,000 times, for the difference of three metrics on all rows and on
five slices. SciPy is run as it is fastest here: its metrics are vectorised, and a batch holds as
many resamples as fit in the memory that the gate may use. Its cost grows in proportion to the number of
resamples, so it is run with few and the time is scaled up. Both run in turn in one process.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gitops.gate.evidence import Comparison, Evidence, join_rows
from gitops.gate.interval import REPLICATES, make_resample
from gitops.gate.rules import check_metrics
from gitops.gate.slices import check_slices
from gitops.policy import MetricRule, Policy, SliceRule, Tolerance
from gitops.run import Scores

if TYPE_CHECKING:
    from gitops.gate.evidence import Array

ROWS = 1_000_000
SLICES = ("north", "east", "south", "west", "centre")
RESAMPLES = 8
BATCH = 4
ROUNDS = 3
TOLERANCE = Tolerance(amount=0.02, relative=True)


def measure_gate(workdir: Path) -> dict[str, Any]:
    """Return seconds of both, their ratio and peak memory; and the table of the simulation."""
    del workdir
    figures = {"rows": ROWS, "replicates": REPLICATES, **_ask("race"), **_ask("peak")}
    return {**figures, **_ask("simulation")}


def _ask(role: str) -> dict[str, Any]:
    """Measure in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", __spec__.name, role]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _draw() -> tuple[Array, Array, Array, Array]:
    """Return labels, predictions of candidate and champion, and the slice of each row."""
    random = np.random.default_rng(7)
    actual = random.normal(20, 5, ROWS)
    shared = 2 * random.standard_normal(ROWS)
    candidate, champion = actual + shared + 0.5 * random.standard_normal((2, ROWS))
    return actual, candidate, champion, random.integers(0, len(SLICES), ROWS)


def _make_evidence() -> Evidence:
    actual, candidate, champion, places = _draw()
    ids = tuple(f"{i:07}" for i in range(ROWS))
    scores = [
        Scores(bundle=name, holdout="", ids=ids, predictions=tuple(values.tolist()))
        for name, values in (("candidate", candidate), ("champion", champion))
    ]
    return Evidence(
        model="large",
        target="y",
        fingerprint="",
        candidate="candidate",
        champion="champion",
        champion_reason="",
        holdout_changed=False,
        current=Comparison(
            ids=ids, actual=tuple(actual.tolist()), candidate=scores[0], champion=scores[1]
        ),
        earlier=None,
        inputs={"region": [SLICES[place] for place in places.tolist()]},
    )


def _race() -> dict[str, Any]:
    evidence = _make_evidence()
    rounds = [(_judge(evidence)[1], _time_scipy_everywhere()) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "gate_s": ours,
        "scipy_s": theirs,
        "scipy_resamples_timed": RESAMPLES,
        "ratio": theirs / ours,
    }


def _measure_peak() -> dict[str, Any]:
    """Return the peak memory of one judgement, the million rows and their joining included."""
    joining, _, findings = _judge(_make_evidence())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"intervals": findings, "join_s": joining, "gate_peak_mib": peak}


def _judge(evidence: Evidence) -> tuple[float, float, int]:
    """Return the seconds to join the rows and to judge them, and the number of findings."""
    names = ("mae", "r2", "rmse")
    policy = Policy(
        metrics=tuple(MetricRule(metric=name, max_regression=TOLERANCE) for name in names),
        slices=SliceRule(by=("region",), max_regression=TOLERANCE),
    )
    make_resample.cache_clear()
    start = time.perf_counter()
    rows = join_rows(evidence.current)
    joined = time.perf_counter()
    found = (*check_metrics(evidence, rows, policy), *check_slices(evidence, rows, policy))
    return joined - start, time.perf_counter() - joined, len(found)


def _time_scipy_everywhere() -> float:
    """Return the seconds for every metric on all rows and on each slice, scaled up."""
    actual, candidate, champion, places = _draw()
    seconds = 0.0
    for rows in (np.full(ROWS, fill_value=True), *(places == i for i in range(len(SLICES)))):
        data = actual[rows], candidate[rows], champion[rows]
        seconds += sum(_time_scipy(statistic, data) for statistic in (_mae, _r2, _rmse))
    return seconds / RESAMPLES * REPLICATES


def _time_scipy(statistic: Any, data: tuple[Array, ...]) -> float:
    from scipy import stats

    start = time.perf_counter()
    stats.bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=0.9,
        n_resamples=RESAMPLES,
        batch=BATCH,
        rng=np.random.default_rng(1),
    )
    return time.perf_counter() - start


def _mae(actual: Array, candidate: Array, champion: Array, axis: int) -> Any:
    return np.abs(candidate - actual).mean(axis=axis) - np.abs(champion - actual).mean(axis=axis)


def _rmse(actual: Array, candidate: Array, champion: Array, axis: int) -> Any:
    squares = [((each - actual) ** 2).mean(axis=axis) for each in (candidate, champion)]
    return np.sqrt(squares[0]) - np.sqrt(squares[1])


def _r2(actual: Array, candidate: Array, champion: Array, axis: int) -> Any:
    variance = actual.var(axis=axis)
    squares = [((each - actual) ** 2).mean(axis=axis) for each in (candidate, champion)]
    return (squares[1] - squares[0]) / variance


def _measure_simulation() -> dict[str, Any]:
    """Return, for each size and world, in per cent: wrongly passed, wrongly failed, covered."""
    from tests.gate_simulation import SIZES, simulate

    return {
        f"{cell.rows} {cell.shape} {cell.rule}": [
            round(100 * share, 1) for share in (cell.passed, cell.failed, cell.covered)
        ]
        for rows in SIZES
        for cell in simulate(rows, simulations=1000, replicates=1000)
    }


ROLES = {"race": _race, "peak": _measure_peak, "simulation": _measure_simulation}

if __name__ == "__main__":
    os.write(1, json.dumps(ROLES[sys.argv[1]]()).encode())
