"""What a cluster says about its runs and schedules comes in; progress, names and decisions go out.

Pure: one snapshot is compared with the next. What is not known is never taken for success.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MOST_ATTEMPTS = 99
_MOST_TEXT = 200


class RunState(StrEnum):
    """The states of a run or a task in Kubeflow Pipelines; UNKNOWN is anything else."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    PAUSED = "PAUSED"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


_OVER = frozenset(
    (
        *(RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED),
        *(RunState.CANCELED, RunState.ERROR),
    )
)
_FAILED = frozenset((RunState.FAILED, RunState.ERROR))
# The local engine's words, so that a person reads the same on both.
_SAID = {RunState.SUCCEEDED: "success", RunState.FAILED: "failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One step of a run.

    Attributes:
        name: the step's name in its pipeline.
        pod: what its log is asked for by; empty when it has none yet.
        seconds: from its start to its end as the cluster measured them, None until it is over.
        error: the cluster's own sentence, empty when there is none.
    """

    name: str
    state: RunState
    pod: str = ""
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """A run as it was at one moment, its tasks in the order they were created."""

    run_id: str
    name: str
    state: RunState
    tasks: tuple[TaskState, ...] = ()
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing can change any more."""
        return is_over(self.state)

    @property
    def has_succeeded(self) -> bool:
        """Tell whether the run did what it was asked; an unknown state did not."""
        return self.state is RunState.SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An uploaded pipeline version whose content was read back and compared."""

    pipeline_id: str
    version_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What should run, once.

    Attributes:
        key: what makes it one and the same run, e.g. a release id; at most 100 of `[A-Za-z0-9._@-]`.
        experiment: name of the experiment, created when it is missing.
        namespace: the cluster's namespace of it.
        version: what runs.
        arguments: the pipeline's inputs; the same key must come with the same arguments.
        named: input whose member `run` is set to the run's own name, which each attempt has of its own.
        pipeline_root: where artifacts go; empty for the cluster's default.
        service_account: of the pods; empty for the cluster's default.
        description: a sentence for people.
        group: what at most one run at a time should be active for, e.g. a merge request and model.
    """

    key: str
    experiment: str
    namespace: str
    version: Version
    arguments: Mapping[str, Any]
    named: str = ""
    pipeline_root: str = ""
    service_account: str = ""
    description: str = ""
    group: str = ""

    def make_arguments(self, name: str) -> dict[str, Any]:
        """Return the arguments of the run of that name."""
        if not self.named:
            return dict(self.arguments)
        return {**self.arguments, self.named: {**self.arguments[self.named], "run": name}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The one run of an order; `attached` when an earlier call had started it."""

    run_id: str
    name: str
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a run's description says to the toolkit; all empty for a run that is not ours."""

    key: str = ""
    group: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run that the cluster has: what deciding about it needs.

    Attributes:
        created: the cluster's own timestamp, compared only with others of the same cluster.
    """

    run_id: str
    name: str
    state: RunState
    created: str
    mark: Mark
    version: Version
    arguments: Mapping[str, Any]


def parse_state(value: object) -> RunState:
    """Return the state that a cluster names; UNKNOWN for what this toolkit has never heard of."""
    try:
        return RunState(str(value).upper())
    except ValueError:
        return RunState.UNKNOWN


def is_over(state: RunState) -> bool:
    """Tell whether a run or task in this state can no longer change."""
    return state in _OVER


def find_failing(snapshot: RunSnapshot) -> tuple[TaskState, ...]:
    """Return the tasks that failed themselves, not those that never began because of them."""
    return tuple(task for task in snapshot.tasks if task.state in _FAILED)


def make_progress(before: RunSnapshot | None, after: RunSnapshot) -> tuple[str, ...]:
    """Return a line for each task that is over now and was not before."""
    earlier = (
        {(task.name, task.pod) for task in before.tasks if is_over(task.state)} if before else set()
    )
    return tuple(
        render_task(task)
        for task in after.tasks
        if is_over(task.state) and (task.name, task.pod) not in earlier
    )


def render_task(task: TaskState) -> str:
    """Return the line that ends a task, as the local engine prints it."""
    said = _SAID.get(task.state, task.state.lower())
    took = f" in {task.seconds:.1f} s" if task.seconds is not None else ""
    return f"    {task.name:<11} {said}{took}"


def render_waiting(snapshot: RunSnapshot | None, seconds: float) -> str:
    """Return the line that says a silent run goes on, and where it is."""
    running = [t.name for t in snapshot.tasks if t.state is RunState.RUNNING] if snapshot else []
    where = ", ".join(running[:5]) or "the run"
    return f"    {where:<11} goes on, {seconds:.0f} s so far"


def make_run_name(key: str, attempt: int) -> str:
    """Return the name of the n-th attempt of a run, counted from one."""
    return key if attempt == 1 else f"{key}-a{attempt}"


def parse_attempt(key: str, name: str) -> int:
    """Return which attempt of `key` a run's name is; 0 when it is none."""
    if name == key:
        return 1
    found = re.fullmatch(re.escape(key) + r"-a([1-9][0-9]?)", name)
    attempt = int(found[1]) if found else 0
    return attempt if attempt > 1 else 0


def render_mark(mark: Mark, about: str = "") -> str:
    """Return the description that carries a mark, with a sentence for people."""
    body = {"key": mark.key, "group": mark.group, "owner": mark.owner, "about": about[:_MOST_TEXT]}
    return json.dumps({name: value for name, value in body.items() if value}, sort_keys=True)


def parse_mark(description: object) -> Mark:
    """Return the mark in a description; an empty one for any text that is not ours."""
    try:
        body = json.loads(str(description)[:10_000])
    except (ValueError, RecursionError):
        return Mark()
    if not isinstance(body, dict):
        return Mark()
    said = {name: body.get(name, "") for name in ("key", "group", "owner")}
    return Mark(**{name: value for name, value in said.items() if isinstance(value, str)})


def find_attempts(key: str, runs: Iterable[FoundRun]) -> dict[int, tuple[FoundRun, ...]]:
    """Return the runs of a key by attempt, each attempt's oldest first."""
    found: dict[int, list[FoundRun]] = {}
    for run in runs:
        if attempt := parse_attempt(key, run.name):
            found.setdefault(attempt, []).append(run)
    return {
        attempt: tuple(sorted(found[attempt], key=lambda run: (run.created, run.run_id)))
        for attempt in sorted(found)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRun:
    """What to do for an order: attach to `run`, or create `attempt`; end the `surplus` runs.

    Attributes:
        run: an active or succeeded run of the order.
        attempt: the attempt that `run` is, or the one to create.
        last: the latest attempt's run, however it ended.
    """

    run: FoundRun | None
    attempt: int
    surplus: tuple[FoundRun, ...] = ()
    last: FoundRun | None = None


def plan_run(key: str, runs: Iterable[FoundRun], *, done: int = 0) -> NextRun:
    """Decide from the runs that a cluster has what an order of this key needs.

    Of two runs of one name, a race of two jobs, the older stays. A run that is on its way to be
    cancelled counts as ended, and so does one that succeeded in an attempt up to `done`.
    """
    attempts = find_attempts(key, runs)
    if not attempts:
        return NextRun(run=None, attempt=1)
    latest = max(attempts)
    useful = [
        run
        for run in attempts[latest]
        if (run.state is RunState.SUCCEEDED and latest > done) or _is_alive(run.state)
    ]
    if not useful:
        return NextRun(run=None, attempt=latest + 1, last=attempts[latest][0])
    surplus = tuple(run for run in useful[1:] if _is_alive(run.state))
    return NextRun(run=useful[0], attempt=latest, surplus=surplus, last=useful[0])


def _is_alive(state: RunState) -> bool:
    return not is_over(state) and state is not RunState.CANCELING


def find_superseded(group: str, keep_key: str, runs: Iterable[FoundRun]) -> tuple[FoundRun, ...]:
    """Return the active runs of a group that belong to another key."""
    return tuple(
        run
        for run in runs
        if group and run.mark.group == group and run.mark.key != keep_key and _is_alive(run.state)
    )


def has_same_values(one: object, other: object) -> bool:
    """Compare JSON values as a cluster keeps them: each number a double, nothing else converted."""
    return _canonical(one) == _canonical(other)


def _canonical(value: object) -> str:
    return json.dumps(_as_doubles(value), sort_keys=True)


def _as_doubles(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _as_doubles(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
