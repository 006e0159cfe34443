"""A run's details as the API shows them come in; a snapshot of its steps goes out.

The API shows the nodes of the Argo workflow below: for a step `train` a node `train-driver`, a node
`train`, and below that a node `executor`, which is the pod that ran the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gitops.plan import show
from gitops.supervision import RunSnapshot, RunState, TaskState, parse_state

_EXECUTOR = re.compile(r"executor(\(\d+\))?")
_ROOT = "root"
_MOST_NODES = 5000


def parse_snapshot(body: Mapping[str, Any]) -> RunSnapshot:
    """Read a run as GET shows it."""
    details = body.get("run_details")
    nodes = details.get("task_details") if isinstance(details, dict) else None
    return RunSnapshot(
        run_id=_text(body.get("run_id")),
        name=_text(body.get("display_name")),
        state=parse_state(body.get("state")),
        tasks=_parse_tasks(nodes if isinstance(nodes, list) else []),
        error=_error(body),
    )


def _parse_tasks(listed: list[Any]) -> tuple[TaskState, ...]:
    nodes = [node for node in listed[:_MOST_NODES] if isinstance(node, dict)]
    by_pod = {str(node.get("pod_name")): node for node in nodes if node.get("pod_name")}
    nodes.sort(
        key=lambda node: (str(node.get("create_time") or ""), _text(node.get("display_name")))
    )
    found = (_parse_task(node, _children(node, by_pod)) for node in nodes)
    return tuple(task for task in found if task is not None)


def _children(node: dict[str, Any], by_pod: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    named = node.get("child_tasks")
    listed = named if isinstance(named, list) else []
    names = [each.get("pod_name") for each in listed if isinstance(each, dict)]
    return [by_pod[str(name)] for name in names if str(name) in by_pod]


def _parse_task(node: dict[str, Any], children: list[dict[str, Any]]) -> TaskState | None:
    """Return a step; None for what is only machinery, unless that is what failed."""
    name, state = _text(node.get("display_name")), parse_state(node.get("state"))
    names = [_text(child.get("display_name")) for child in children]
    executors = [
        child for child, called in zip(children, names, strict=True) if _EXECUTOR.fullmatch(called)
    ]
    if (
        name == _ROOT
        or _EXECUTOR.fullmatch(name)
        or (not executors and any(map(_is_driver, names)))
    ):
        return None
    if _is_driver(name) and not executors and state is not RunState.FAILED:
        return None
    pod = executors[-1] if executors else node
    return TaskState(
        name=name,
        state=state,
        pod=str(pod.get("pod_name") or ""),
        seconds=_seconds(node),
        error=_error(node) or _error(pod),
    )


def _is_driver(name: str) -> bool:
    return name.endswith("-driver")


def _seconds(node: Mapping[str, Any]) -> float | None:
    """Return how long a node took by the cluster's clock alone."""
    try:
        start = datetime.fromisoformat(str(node.get("start_time")))
        end = datetime.fromisoformat(str(node.get("end_time")))
        seconds = (end - start).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds >= 0 else None


def _error(node: Mapping[str, Any]) -> str:
    error = node.get("error")
    return show(str(error.get("message") or ""))[:500] if isinstance(error, dict) else ""


def _text(value: object) -> str:
    return show(str(value or ""))[:200]
