"""Old and new models on old and new held-out rows come in; what changed the metrics goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gitops.gate.catalogue import find_metric
from gitops.gate.evidence import Evidence, Predictions, Rows, join_rows
from gitops.gate.interval import Estimate, Resample, View, estimate, make_resample
from gitops.gate.metrics import Metric, find_obstacle, measure
from gitops.gate.verdict import Attribution, AttributionLine
from gitops.gate.wording import count_rows, figure, interval_of_regression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Four:
    """The four views of one metric; None where it cannot be computed."""

    champion_earlier: View | None
    candidate_earlier: View | None
    champion_current: View | None
    candidate_current: View | None


def attribute(evidence: Evidence, rows: Rows, policy: Policy) -> Attribution | None:
    """Separate what new data did from what the new model did.

    Both sets of rows are resampled together: a row that is in both is drawn for both, so that only
    the rows that came or went count as a change of the data. The sentence is about the first built-in
    metric of the policy. None when the data did not change, or when there is no old model.
    """
    if evidence.earlier is None or evidence.current.champion is None:
        return None
    earlier = join_rows(evidence.earlier, evidence.task, evidence.positive)
    units = {name: i for i, name in enumerate(sorted({*earlier.ids, *rows.ids}))}
    built_in = [rule for rule in policy.metrics if rule.function is None]
    found = [find_metric(rule, evidence, rows) for rule in built_in]
    metrics = [metric for metric in found if isinstance(metric, Metric)]
    fours = [_make_four(metric, earlier, rows, units) for metric in metrics]
    resample = make_resample(len(units), f"{earlier.digest} {rows.digest}")
    sentences = [_explain(*pair, resample) for pair in zip(metrics[:1], fours[:1], strict=True)]
    return Attribution(
        lines=tuple(map(_make_line, metrics, fours)),
        sentence=" ".join(sentences),
    )


def _make_four(metric: Metric, earlier: Rows, current: Rows, units: Mapping[str, int]) -> _Four:
    return _Four(
        champion_earlier=_make_view(metric, earlier, earlier.champion, units),
        candidate_earlier=_make_view(metric, earlier, earlier.candidate, units),
        champion_current=_make_view(metric, current, current.champion, units),
        candidate_current=_make_view(metric, current, current.candidate, units),
    )


def _make_view(
    metric: Metric, rows: Rows, model: Predictions | None, units: Mapping[str, int]
) -> View | None:
    if model is None or model.fault or rows.fault:
        return None
    if find_obstacle(metric, rows.actual, model.values):
        return None
    numbers = np.array([units[name] for name in rows.ids], dtype=np.intp)
    return View(actual=rows.actual, predicted=model.values, units=numbers)


def _make_line(metric: Metric, four: _Four) -> AttributionLine:
    return AttributionLine(
        metric=metric.name,
        champion_earlier=_measure(metric, four.champion_earlier),
        candidate_earlier=_measure(metric, four.candidate_earlier),
        champion_current=_measure(metric, four.champion_current),
        candidate_current=_measure(metric, four.candidate_current),
    )


def _measure(metric: Metric, view: View | None) -> float | None:
    return None if view is None else measure(metric, view.actual, view.predicted)


def _explain(metric: Metric, four: _Four, resample: Resample) -> str:
    old, before, after = four.champion_earlier, four.champion_current, four.candidate_current
    if old is None or before is None or after is None:
        return f"What the new data did to {metric.name} cannot be told: a score is missing."
    data = _estimate_change(metric, before, old, resample)
    model = _estimate_change(metric, after, before, resample)
    then, now, new = (
        figure(measure(metric, view.actual, view.predicted)) for view in (old, before, after)
    )
    harder = _tell(data, worse="the data got harder", better="the data got easier")
    worse = _tell(model, worse="the model got worse", better="the model got better")
    return (
        f"The champion's {metric.name} was {then} on the earlier {count_rows(len(old.units))} and "
        f"is {now} on the current {count_rows(len(before.units))} "
        f"({interval_of_regression(data)}): {harder}. The candidate's is {new} there "
        f"({interval_of_regression(model)}): {worse}."
    )


def _tell(change: Estimate, *, worse: str, better: str) -> str:
    if change.low > 0:
        return worse
    if change.high < 0:
        return better
    if change.low == change.high:
        return "no difference"
    return f"the rows cannot tell whether {worse}"


def _estimate_change(metric: Metric, new: View, old: View, resample: Resample) -> Estimate:
    """Return by how much `new` is worse than `old`."""
    badness = metric.badness
    return estimate(metric, lambda now, then: badness * (now - then), [new, old], resample)
