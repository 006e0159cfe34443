"""A rule and the evidence come in; the metric that the rule means, built in or a team's own, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gitops.config import Task
from gitops.gate.classification import BINARY, MULTICLASS
from gitops.gate.custom import make_custom
from gitops.gate.evidence import Evidence, Rows
from gitops.gate.metrics import METRICS, Metric
from gitops.policy import MetricRule

CATALOGUE: Mapping[Task, Mapping[str, Metric]] = MappingProxyType(
    {
        Task.REGRESSION: METRICS,
        Task.BINARY: MappingProxyType({metric.name: metric for metric in BINARY}),
        Task.MULTICLASS: MappingProxyType({metric.name: metric for metric in MULTICLASS}),
    }
)


def find_metric(rule: MetricRule, evidence: Evidence, rows: Rows) -> Metric | str:
    """Return the metric of a rule, or why there is none."""
    known = CATALOGUE[evidence.task]
    if rule.function is None:
        unknown = f"there is no metric {rule.metric!r} for {evidence.task}; known are "
        return known.get(rule.metric) or unknown + ", ".join(known)
    function = evidence.custom.get(rule.metric)
    if function is None:
        return f"the target branch has no function {rule.function} to compute it with"
    if rule.direction is None:
        return f"the rule does not say which way {rule.metric} gets better"
    return make_custom(rule, function, rows.classes)
