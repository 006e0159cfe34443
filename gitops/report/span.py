"""A finding comes in; what it compares with its bound, to be written or drawn, goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.report.number import NOTHING, render_number
from gitops.report.points import finite_row

if TYPE_CHECKING:
    from gitops.gate.verdict import Finding

_SLICE = "slice."


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a rule compares with its bound: a point, its 90 % interval, and the allowed side.

    All numbers are finite and in units of the metric.
    """

    point: float
    low: float
    high: float
    bound: float
    below: bool


def make_span(finding: Finding) -> Span | None:
    """Return what the finding compares with its bound; None where there is nothing to draw."""
    side = bound_side(finding)
    finite = finite_row((finding.low, finding.high, finding.bound))
    if not side or finite is None:
        return None
    low, high, bound = finite
    point = _compared(finding, middle=(low + high) / 2)
    return Span(point=point, low=low, high=high, bound=bound, below=side == "≤")


def render_bound(finding: Finding) -> str:
    """Write the bound with its side, e.g. ``≤ 4.50``; a dash when there is none."""
    number = render_number(finding.bound)
    return number if number == NOTHING else f"{bound_side(finding)} {number}".strip()


def bound_side(finding: Finding) -> str:
    """Return the sign between a value and its bound, ``≤`` or ``≥``; empty for other rules."""
    last = finding.rule.rpartition(".")[2]
    if finding.rule.startswith(_SLICE) or last.partition("_")[0] == "max":
        return "≤"
    return "≥" if last.partition("_")[0] == "min" else ""


def compared_name(finding: Finding) -> str:
    """Return what the finding's interval is of: ``value``, ``regression`` or ``improvement``."""
    if finding.rule.startswith(_SLICE) or finding.rule.endswith(".max_regression"):
        return "regression"
    return "improvement" if finding.rule.endswith(".min_improvement") else "value"


def slice_label(finding: Finding) -> str:
    """Return column and value of a slice's finding, e.g. ``origin=2``, without the metric."""
    return finding.rule.removeprefix(_SLICE).removesuffix(f".{finding.metric}")


def has_numbers(finding: Finding) -> bool:
    """Tell whether a finding has figures for the table of rules."""
    return any(value is not None for value in (finding.candidate, finding.difference, finding.low))


def _compared(finding: Finding, *, middle: float) -> float:
    """Return the point inside the interval.

    A regression is measured in the bad direction of its metric and an improvement in the good one,
    so the difference may come with either sign; the right one lies in the interval.
    """
    options = [finding.candidate]
    if compared_name(finding) != "value":
        options = [finding.difference, None if finding.difference is None else -finding.difference]
    finite = finite_row(tuple(value for value in options if value is not None)) or ()
    return min(finite, key=lambda value: abs(value - middle), default=middle)
