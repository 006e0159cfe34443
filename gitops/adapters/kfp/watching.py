"""A started run comes in; its true end goes out, with progress on the way, or the reason why there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gitops.adapters.kfp.api import Api
from gitops.adapters.kfp.connection import AnswerError, UnclearError, UnknownTokenError
from gitops.adapters.kfp.runs import terminate_run
from gitops.adapters.kfp.snapshots import parse_snapshot
from gitops.errors import GitopsError, OutsideError
from gitops.plan import show
from gitops.supervision import RunSnapshot, TaskState, make_progress, render_waiting

_LOG = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_LOG_LINES = 25


@dataclass(kw_only=True)
class Watch:
    """How a run is watched; seconds are monotonic, of `clock`.

    Attributes:
        deadline: seconds that the run may take from now on.
        poll: seconds between two looks.
        patience: seconds without any answer after which watching gives up.
        ending: seconds that a terminated run may take to be over.
        silence: seconds without a line after which one says that the run goes on.
    """

    deadline: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    on_lines: Callable[[tuple[str, ...]], None]
    poll: float = 5.0
    patience: float = 600.0
    ending: float = 60.0
    silence: float = 30.0
    last: RunSnapshot | None = field(default=None, init=False)
    spoke: float = field(default=0.0, init=False)


def watch_run(api: Api, run_id: str, watch: Watch) -> RunSnapshot:
    """Follow a run to its end; as `Cluster.watch` says."""
    try:
        return _follow(api, run_id, watch)
    except (KeyboardInterrupt, SystemExit):
        # The job was cancelled; nothing that it started may go on alone.
        terminate_run(api, run_id)
        raise


def _follow(api: Api, run_id: str, watch: Watch) -> RunSnapshot:
    began = answered = watch.spoke = watch.clock()
    while True:
        snapshot, trouble = _look(api, run_id)
        now = watch.clock()
        if snapshot is not None:
            answered = now
            _tell(watch, snapshot, now, now - began)
            if snapshot.is_over:
                return snapshot
        elif now - answered > watch.patience:
            raise OutsideError(
                f"Kubeflow has not answered for {now - answered:.0f} s: {trouble}",
                where=api.connection.host,
                hint="the run may still go on; run again to attach to it",
            )
        if now - began >= watch.deadline:
            _give_up(api, run_id, watch)
        watch.sleep(min(watch.poll, max(0.0, watch.deadline - (now - began))) or watch.poll)


def _look(api: Api, run_id: str) -> tuple[RunSnapshot | None, GitopsError | None]:
    """Return what the run is now, or why that is not known; OutsideError when it is gone."""
    try:
        return parse_snapshot(api.read(api.runs.run_service_get_run, run_id)), None
    except (UnclearError, UnknownTokenError) as error:
        return None, error
    except AnswerError as error:
        if error.status != 404:
            raise
        raise OutsideError(
            "the run is gone: somebody deleted it", where=run_id, hint="run it again"
        ) from error


def _tell(watch: Watch, snapshot: RunSnapshot, now: float, seconds: float) -> None:
    lines = make_progress(watch.last, snapshot)
    watch.last = snapshot
    if not lines and not snapshot.is_over and now - watch.spoke >= watch.silence:
        lines = (render_waiting(snapshot, seconds),)
    if lines:
        watch.spoke = now
        watch.on_lines(lines)


def _give_up(api: Api, run_id: str, watch: Watch) -> None:
    """End a run that takes too long, and say so; it is an error, not a verdict."""
    terminate_run(api, run_id)
    until = watch.clock() + watch.ending
    ended = False
    while not ended and watch.clock() < until:
        snapshot, _ = _look(api, run_id)
        ended = snapshot is not None and snapshot.is_over
        if not ended:
            watch.sleep(watch.poll)
    raise OutsideError(
        f"the run took longer than {watch.deadline:.0f} s"
        + (" and was ended" if ended else "; it was told to end, and has not yet"),
        where=run_id,
        hint="look at its steps, or raise run.deadline_minutes in gitops.yaml",
    )


def read_task_log(
    api: Api, run_id: str, task: TaskState, lines: int = _LOG_LINES
) -> tuple[str, ...]:
    """Return the last lines of a step's pod; as `Cluster.read_log` says."""
    if not task.pod:
        return (f"(no log: the step never had a pod; {task.error or 'no reason was given'})",)
    try:
        text = api.read_text(_LOG, run_id=run_id, node_id=task.pod)
    except (UnclearError, AnswerError) as error:
        return (f"(no log: {error})",)
    kept = [
        show(_ESCAPES.sub("", line).rstrip())[:500] for line in text.splitlines()[-10 * lines :]
    ]
    return tuple([line for line in kept if line.strip()][-lines:]) or ("(the log is empty)",)
