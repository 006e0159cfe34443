"""Inspections of both models come in; their inputs' weight and their cost in service go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.report.number import NOTHING, render_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops.gate.verdict import Finding
    from gitops.run import Inspection

_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceLine:
    """How much one input moves a prediction, in its units; None where a model does not say."""

    name: str
    candidate: float | None
    champion: float | None

    @property
    def size(self) -> float:
        """Return the larger of the two."""
        return max(self.candidate or 0.0, self.champion or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLine:
    """One cost of serving: its name, its unit, what both models need, and the bound."""

    name: str
    unit: str
    candidate: float
    champion: float | None
    bound: float | None

    def write(self, value: float | None) -> str:
        """Write a value with the unit, a dash when there is none."""
        return NOTHING if value is None else f"{render_number(value)} {self.unit}"


def make_importance(
    candidate: Inspection | None, champion: Inspection | None
) -> tuple[ImportanceLine, ...]:
    """Put the inputs of both models side by side, the weightiest first; empty when none is known."""
    new, old = (dict(one.importance) if one else {} for one in (candidate, champion))
    lines = (
        ImportanceLine(name=name, candidate=new.get(name), champion=old.get(name))
        for name in {**new, **old}
    )
    return tuple(sorted(lines, key=lambda line: (-line.size, line.name)))


def make_serving(
    candidate: Inspection | None, champion: Inspection | None, findings: Iterable[Finding]
) -> tuple[ServingLine, ...]:
    """Put the cost of serving both models beside its bounds; empty when it was not measured."""
    if candidate is None:
        return ()
    bounds = {finding.rule.removeprefix("serving."): finding.bound for finding in findings}
    other = _measure(champion) if champion else {}
    return tuple(
        ServingLine(
            name=name,
            unit=unit,
            candidate=value,
            champion=other[rule][2] if other else None,
            bound=bounds.get(rule),
        )
        for rule, (name, unit, value) in _measure(candidate).items()
    )


def _measure(inspection: Inspection) -> dict[str, tuple[str, str, float]]:
    """Return name, unit and value by the rule that bounds it."""
    return {
        "max_size_mb": ("bundle size", "MB", inspection.size_bytes / _MEGABYTE),
        "max_load_seconds": ("load until the first prediction", "s", inspection.load_seconds),
        "max_p50_ms": ("one row, median", "ms", inspection.p50_ms),
        "max_p99_ms": ("one row, 99th percentile", "ms", inspection.p99_ms),
    }
