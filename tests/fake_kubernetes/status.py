"""Workloads and traffic come in; the status that KServe writes goes out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fake_kubernetes.fields import Body, now
from tests.fake_kubernetes.pods import State, Workload

DOMAIN = "example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One share of the traffic; `workload` is None where nothing is behind it."""

    workload: Workload | None
    percent: int
    tag: str = ""
    latest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One line of `status.conditions`; `good` is None for Unknown."""

    name: str
    good: bool | None
    reason: str = ""
    message: str = ""


def render_conditions(conditions: list[Condition], before: Body) -> list[Body]:
    """Write conditions; the time of a transition stays until the next one."""
    old = {each["type"]: each for each in before.get("conditions", [])}
    return [
        _render(each, old.get(each.name, {})) for each in sorted(conditions, key=lambda c: c.name)
    ]


def _render(condition: Condition, old: Body) -> Body:
    status = {True: "True", False: "False", None: "Unknown"}[condition.good]
    line = {"type": condition.name, "status": status}
    if condition.reason:
        line["reason"] = condition.reason
    if condition.message:
        line["message"] = condition.message
    same = old.get("status") == status
    return {**line, "lastTransitionTime": old["lastTransitionTime"] if same else now()}


def judge(workload: Workload | None) -> bool | None:
    """Tell whether a pod is ready; None while that is open."""
    if workload is None or workload.state in (State.PENDING, State.LOADING):
        return None
    return workload.ready


def render_model_status(newest: Workload, serving: Workload | None) -> Body:
    """Write `status.modelStatus`: whether what serves is what the spec asks for."""
    failed = newest.state in (State.FAILED, State.CRASHED)
    states: dict[str, Any] = {"targetModelState": "Loading"}
    transition = "InProgress"
    if newest.ready:
        states["targetModelState"], transition = "Loaded", "UpToDate"
    elif failed:
        states["targetModelState"], transition = "FailedToLoad", "BlockedByFailedLoad"
    states["activeModelState"] = "Loaded" if serving is not None and serving.ready else ""
    status: Body = {"states": states, "transitionStatus": transition}
    if newest.ready:
        status["copies"] = {"failedCopies": 0, "totalCopies": 1}
    if failed:
        status["lastFailureInfo"] = {"reason": "ModelLoadFailed", "message": newest.message}
    return status


def add_ready(conditions: list[Condition], names: tuple[str, ...]) -> list[Condition]:
    """Add `Ready`, which is as bad as the worst of the named conditions."""
    mine = [each for each in conditions if each.name in names]
    bad = next((each for each in mine if each.good is False), None)
    bad = bad or next((each for each in mine if each.good is None), None)
    if bad is None:
        return [*conditions, Condition(name="Ready", good=True)]
    ready = Condition(name="Ready", good=bad.good, reason=bad.reason, message=bad.message)
    return [*conditions, ready]
