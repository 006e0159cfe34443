"""Worlds whose truth is known come in; how often the gate is wrong about them goes out.

In every world the candidate lies exactly at its bound: a rule with `prove` that passes is wrong, a
rule without it that fails is wrong, and so is an interval that does not hold the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from gitops.config import Task
from gitops.gate.catalogue import CATALOGUE
from gitops.gate.interval import Estimate, Resample, View, estimate, make_resample
from gitops.gate.metrics import Metric, measure
from gitops.gate.pair import Pair, measure_change
from gitops.gate.rules import decide
from gitops.gate.verdict import Outcome
from gitops.policy import Tolerance

if TYPE_CHECKING:
    from gitops.gate.evidence import Array

SIZES = (50, 200, 1000)
_TRUTH_ROWS = 2_000_000
_TURNS = 10
_REGRESSION, _BINARY = CATALOGUE[Task.REGRESSION], CATALOGUE[Task.BINARY]
# (rows, source of chance) -> labels, predictions of the candidate, predictions of the champion.
Draw = Callable[[int, np.random.Generator], "tuple[Array, Array, Array]"]
# (rows, resample) -> the estimate of one sample, its bound, and whether the bound is an upper one.
Trial = Callable[["tuple[Array, Array, Array]", Resample], "tuple[Estimate, float, bool]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Errors of one shape, and a rule whose bound is exactly the truth."""

    shape: str
    rule: str
    draw: Draw
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How often the gate was wrong about one world at one size, as shares of the simulations."""

    shape: str
    rule: str
    rows: int
    simulations: int
    passed: float
    failed: float

    @property
    def covered(self) -> float:
        return 1 - self.passed - self.failed


def simulate(rows: int, simulations: int, replicates: int) -> Iterator[Cell]:
    """Judge every world so many times; a few resamples, of fewer replicates, take turns."""
    resamples = [_make_resample(rows, f"simulation {turn}", replicates) for turn in range(_TURNS)]
    for place, world in enumerate(list_worlds()):
        random = np.random.default_rng((rows, place))
        wrong = [
            _judge(world, rows, random, resamples[turn % _TURNS]) for turn in range(simulations)
        ]
        passed, failed = np.mean(wrong, axis=0)
        yield Cell(
            shape=world.shape,
            rule=world.rule,
            rows=rows,
            simulations=simulations,
            passed=float(passed),
            failed=float(failed),
        )


def _make_resample(rows: int, seed: str, replicates: int) -> Resample:
    whole = make_resample(rows, seed)
    return Resample(group=whole.group, counts=whole.counts[:replicates].copy())


def _judge(
    world: World, rows: int, random: np.random.Generator, resample: Resample
) -> tuple[bool, bool]:
    found, bound, at_most = world.trial(world.draw(rows, random), resample)
    # Where the metric has steps, an interval may end at the bound itself, which it then holds.
    nearly = math.copysign(1e-9, 1 if at_most else -1)
    proven = decide(found, bound - nearly, at_most=at_most, prove=True)
    believed = decide(found, bound + nearly, at_most=at_most, prove=False)
    return proven is Outcome.PASS, believed is Outcome.FAIL


@cache
def list_worlds() -> tuple[World, ...]:
    """Return every world; their truths are known exactly or from two million rows."""
    worlds = []
    for shape in ("normal", "heavy", "skewed"):
        worlds += [
            _make_bounded(shape, "rmse"),
            _make_bounded(shape, "mae"),
            _make_compared(shape, "rmse", _draw_worse(shape), relative=True),
            _make_compared(shape, "rmse", _draw_scaled(shape), relative=False),
            _make_equal(shape, "rmse", _draw_equal(shape)),
            _make_equal(shape, "mae", _draw_equal(shape)),
        ]
    worlds += [
        _make_accuracy(0.85),
        _make_disagreement(0.10, 0.06),
        _make_disagreement(0.06, 0.06),
        _make_equal("binary", "roc_auc", _draw_chances),
        _make_equal("binary", "log_loss", _draw_chances),
        _make_equal("binary", "f1", _draw_chances),
    ]
    return tuple(worlds)


def draw_shape(shape: str, rows: int, random: np.random.Generator) -> Array:
    """Draw errors: normal, Student's t with 5 degrees of freedom, or a centred exponential."""
    if shape == "normal":
        return random.standard_normal(rows)
    return random.standard_t(5, rows) if shape == "heavy" else random.exponential(size=rows) - 1


def _draw_scaled(shape: str) -> Draw:
    """The candidate errs a tenth more on every row."""

    def draw(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        errors = draw_shape(shape, rows, random)
        return np.zeros(rows), 1.1 * errors, errors

    return draw


def _draw_worse(shape: str) -> Draw:
    """What no model explains is shared; the candidate is biased and a little noisier."""

    def draw(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        shared, own = draw_shape(shape, rows, random), random.standard_normal((2, rows))
        return np.zeros(rows), shared + 0.3 + 0.5 * own[0], shared + 0.4 * own[1]

    return draw


def _draw_equal(shape: str) -> Draw:
    def draw(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        shared, own = draw_shape(shape, rows, random), random.standard_normal((2, rows))
        return np.zeros(rows), shared + 0.4 * own[0], shared + 0.4 * own[1]

    return draw


def _draw_chances(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """Two classifiers that are equally good and disagree a little."""
    actual = (random.random(rows) < 0.35).astype(np.intp)
    score = 1.5 * (actual - 0.5) + random.standard_normal(rows)
    scores = score + 0.5 * random.standard_normal((2, rows))
    chances = 1 / (1 + np.exp(-scores))
    candidate, champion = (np.stack([1 - each, each], axis=1) for each in chances)
    return actual, candidate, champion


def _truth(metric: Metric, draw: Draw) -> tuple[float, float]:
    actual, candidate, champion = draw(_TRUTH_ROWS, np.random.default_rng(7))
    return measure(metric, actual, candidate), measure(metric, actual, champion)


def _make_bounded(shape: str, name: str) -> World:
    metric, draw = _REGRESSION[name], _draw_scaled(shape)
    truth, _ = _truth(metric, draw)
    return World(
        shape=shape, rule=f"{name}.max", draw=draw, trial=_bounded(metric, truth, at_most=True)
    )


def _bounded(metric: Metric, truth: float, *, at_most: bool) -> Trial:
    def trial(
        sample: tuple[Array, Array, Array], resample: Resample
    ) -> tuple[Estimate, float, bool]:
        actual, candidate, _ = sample
        view = View(actual=actual, predicted=candidate, units=np.arange(len(actual)))
        return estimate(metric, lambda value: value, [view], resample), truth, at_most

    return trial


def _make_compared(shape: str, name: str, draw: Draw, *, relative: bool) -> World:
    metric = _REGRESSION[name]
    candidate, champion = _truth(metric, draw)
    loss = candidate / champion - 1 if relative else candidate - champion
    tolerance = Tolerance(amount=loss, relative=relative)
    kind = "share" if relative else "absolute"
    return World(
        shape=shape,
        rule=f"{name}.max_regression ({kind})",
        draw=draw,
        trial=_compared(metric, tolerance),
    )


def _make_equal(shape: str, name: str, draw: Draw) -> World:
    metric = _REGRESSION[name] if shape != "binary" else _BINARY[name]
    rule = f"{name}.max_regression 0"
    return World(shape=shape, rule=rule, draw=draw, trial=_compared(metric, Tolerance(amount=0.0)))


def _compared(metric: Metric, tolerance: Tolerance) -> Trial:
    def trial(
        sample: tuple[Array, Array, Array], resample: Resample
    ) -> tuple[Estimate, float, bool]:
        actual, candidate, champion = sample
        units = np.arange(len(actual))
        pair = Pair(actual=actual, candidate=candidate, champion=champion, units=units)
        change = measure_change(metric, pair, tolerance, resample)
        return change.found, change.bound, True

    return trial


def _make_accuracy(share: float) -> World:
    def draw(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        right = random.random(rows) < share
        chances = _say(right)
        return np.ones(rows, dtype=np.intp), chances, chances

    trial = _bounded(_BINARY["accuracy"], share, at_most=False)
    return World(shape="binary", rule=f"accuracy.min {share:g}", draw=draw, trial=trial)


def _make_disagreement(worse: float, better: float) -> World:
    """Both are right on some rows alone: the candidate on `better` of them, the champion on `worse`."""

    def draw(rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        place = random.random(rows)
        lost, won = place < worse, place > 1 - better
        return np.ones(rows, dtype=np.intp), _say(~lost), _say(~won)

    trial = _compared(_BINARY["accuracy"], Tolerance(amount=worse - better))
    rule = f"accuracy.max_regression {worse - better:.2g}"
    return World(shape="binary", rule=rule, draw=draw, trial=trial)


def _say(right: Array) -> Array:
    chances = np.where(right, 0.9, 0.2)
    return np.stack([1 - chances, chances], axis=1)
