"""The `gate` section of a model comes in; the frozen `Policy` that the gate applies goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from gitops.digest import make_digest


class Severity(StrEnum):
    """Whether a rule decides or only informs."""

    BLOCK = "block"
    WARN = "warn"


class Direction(StrEnum):
    """Which way a metric gets better."""

    HIGHER = "higher"
    LOWER = "lower"


class SignatureChange(StrEnum):
    """What may change in what a model asks for, compared with the champion."""

    NONE = "none"
    COMPATIBLE = "compatible"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """An allowed or required change: `0.5` in units of the metric, or `2%` of the champion's value."""

    amount: float
    relative: bool = False

    def __str__(self) -> str:
        """Return it as it is written in gitops.yaml."""
        return f"{self.amount * 100:g}%" if self.relative else f"{self.amount:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRule:
    """The rules for one metric, in its own units.

    Attributes:
        metric: name of a built-in metric, or of a custom one.
        function: `file.py:function` on the target branch that computes a custom metric.
        direction: which way a custom metric gets better.
    """

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    max_regression: Tolerance | None = None
    min_improvement: Tolerance | None = None
    prove: bool | None = None
    severity: Severity = Severity.BLOCK
    function: str | None = None
    direction: Direction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRule:
    """How much worse than the champion each value of some columns may fare.

    Attributes:
        by: raw columns; each value of each is a slice.
        max_regression: tolerated per slice.
        metrics: metrics to compare; empty means every built-in metric that has a rule.
        min_rows: smaller slices are shown, not judged.
    """

    by: tuple[str, ...]
    max_regression: Tolerance
    metrics: tuple[str, ...] = ()
    min_rows: int = 30
    severity: Severity = Severity.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRule:
    """Bounds on what it takes to serve the model; None is no bound."""

    max_load_seconds: float | None = None
    max_p50_ms: float | None = None
    max_p99_ms: float | None = None
    max_size_mb: float | None = None
    signature: SignatureChange = SignatureChange.COMPATIBLE
    severity: Severity = Severity.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """What one raw column must look like; None is no rule.

    Attributes:
        kind: `number` or `text`.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        missing: largest allowed share of missing cells, 0 to 1.
        values: the only allowed values, as text.
    """

    column: str
    kind: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    missing: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRule:
    """What the data must look like; applied to every model, with these defaults.

    Attributes:
        columns: declared rules.
        learnt: compare schema, ranges, missing rates and values with the champion's data.
        duplicates: largest allowed share of rows that repeat another, 0 to 1.
        drift: severity of a distribution that moved, None to leave it out.
        severity: severity of everything else.
    """

    columns: tuple[ColumnRule, ...] = ()
    learnt: bool = True
    duplicates: float = 0.05
    drift: Severity | None = Severity.WARN
    severity: Severity = Severity.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a model must satisfy to be released.

    Attributes:
        metrics: rules by metric, sorted by name.
        slices: rule per slice, or None.
        serving: bounds on serving.
        data: what the data must look like.
        group: raw column whose equal values belong together and are resampled together.
    """

    metrics: tuple[MetricRule, ...]
    slices: SliceRule | None = None
    serving: ServingRule = field(default_factory=ServingRule)
    data: DataRule = field(default_factory=DataRule)
    group: str | None = None

    @property
    def digest(self) -> str:
        """Return a digest of its content, independent of how the file is laid out."""
        return make_digest(asdict(self))


def make_policy(body: Mapping[str, Any]) -> Policy:
    """Build a policy from the `gate` section of a model, which its JSON Schema accepts."""
    rules = (_make_rule(metric, rule) for metric, rule in body["metrics"].items())
    return Policy(
        metrics=tuple(sorted(rules, key=lambda rule: rule.metric)),
        slices=_make_slices(body["slices"]) if "slices" in body else None,
        serving=_make_serving(body.get("serving", {})),
        data=_make_data(body.get("data", {})),
        group=body.get("group"),
    )


def _make_rule(metric: str, body: Mapping[str, Any]) -> MetricRule:
    return MetricRule(
        metric=metric,
        minimum=_number(body.get("min")),
        maximum=_number(body.get("max")),
        max_regression=_tolerance(body.get("max_regression")),
        min_improvement=_tolerance(body.get("min_improvement")),
        prove=body.get("prove"),
        severity=_severity(body),
        function=body.get("function"),
        direction=Direction(body["direction"]) if "direction" in body else None,
    )


def _make_slices(body: Mapping[str, Any]) -> SliceRule:
    tolerance = _tolerance(body["max_regression"])
    return SliceRule(
        by=tuple(body["by"]),
        max_regression=tolerance or Tolerance(amount=0.0),
        metrics=tuple(body.get("metrics", ())),
        min_rows=body.get("min_rows", 30),
        severity=_severity(body),
    )


def _make_serving(body: Mapping[str, Any]) -> ServingRule:
    return ServingRule(
        max_load_seconds=_number(body.get("max_load_seconds")),
        max_p50_ms=_number(body.get("max_p50_ms")),
        max_p99_ms=_number(body.get("max_p99_ms")),
        max_size_mb=_number(body.get("max_size_mb")),
        signature=SignatureChange(body.get("signature", "compatible")),
        severity=_severity(body),
    )


def _make_data(body: Mapping[str, Any]) -> DataRule:
    drift = body.get("drift", "warn")
    columns = body.get("columns", {})
    return DataRule(
        columns=tuple(_make_column(name, rule) for name, rule in sorted(columns.items())),
        learnt=body.get("learnt", True),
        duplicates=float(body.get("duplicates", 0.05)),
        drift=None if drift == "off" else Severity(drift),
        severity=_severity(body),
    )


def _make_column(name: str, body: Mapping[str, Any]) -> ColumnRule:
    values = body.get("values")
    return ColumnRule(
        column=name,
        kind=body.get("kind"),
        minimum=_number(body.get("min")),
        maximum=_number(body.get("max")),
        missing=_number(body.get("missing")),
        values=None if values is None else tuple(map(_text, values)),
    )


def _text(value: str | float) -> str:
    """Return a value as cells are compared: 1.0 and 1 are the same."""
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _severity(body: Mapping[str, Any]) -> Severity:
    return Severity(body.get("severity", "block"))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _tolerance(value: float | str | None) -> Tolerance | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Tolerance(amount=float(value.rstrip("% ")) / 100, relative=True)
    return Tolerance(amount=float(value))
