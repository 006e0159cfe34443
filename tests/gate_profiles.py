"""Profiles of small data sets for the tests of the gate: columns in, profiles out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops.config import Holdout, Task
from gitops.gate.judge import judge
from gitops.gate.profile import DataProfile, make_profile
from gitops.policy import DataRule, MetricRule, Policy
from gitops.table import Cell, Table, split_table
from tests.gate_evidence import make_evidence, noisy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops.gate.evidence import Evidence
    from gitops.gate.verdict import Finding, Verdict

ACTUAL, GOOD = noisy(noise=2.9)


def profile(
    columns: Mapping[str, Sequence[Cell]],
    *,
    data: str = "new",
    target: str = "mpg",
    task: Task = Task.REGRESSION,
    holdout: Holdout | None = None,
) -> DataProfile:
    """Return the profile of some columns, split by all of them."""
    rows = tuple(zip(*columns.values(), strict=True))
    table = Table(columns=tuple(columns), rows=rows)
    split = split_table(
        table, target=target, holdout=holdout or Holdout(), where="data.csv", task=task
    )
    return make_profile(table, split, target=target, task=task, data=data)


def compare_data(
    new: DataProfile | None, old: DataProfile | None, *, task: Task = Task.REGRESSION
) -> Evidence:
    """Return evidence whose predictions are beyond doubt and whose data is in question."""
    evidence = make_evidence(ACTUAL, GOOD, GOOD if old else None)
    return replace(
        evidence, profile=new, champion_profile=old, earlier=evidence.current if old else None
    )


def judge_data(
    new: DataProfile | None, old: DataProfile | None = None, rule: DataRule | None = None
) -> Verdict:
    """Judge data with a rule for it, beside a bound on the metric that always holds."""
    bound = MetricRule(metric="rmse", maximum=4.5)
    return judge(compare_data(new, old), Policy(metrics=(bound,), data=rule or DataRule()))


def about_data(verdict: Verdict) -> dict[str, Finding]:
    """Return the findings on data and drift by rule."""
    return {f.rule: f for f in verdict.findings if f.rule.split(".")[0] in {"data", "drift"}}
