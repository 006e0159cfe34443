"""A Kubeflow Pipelines server comes in; pipelines uploaded, runs started and followed, schedules kept go out.

Whatever reply is lost on the way, one order has one run, and what runs is what was sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from gitops.adapters.kfp.api import Api
from gitops.adapters.kfp.connection import Connection
from gitops.adapters.kfp.runs import find_experiment, start_run, terminate_run, terminate_superseded
from gitops.adapters.kfp.schedules import reconcile_schedules
from gitops.adapters.kfp.uploads import upload_version
from gitops.adapters.kfp.watching import Watch, read_task_log, watch_run
from gitops.schedule import ScheduleChange, WantedSchedule
from gitops.supervision import RunOrder, RunSnapshot, Started, TaskState, Version

__all__ = ["Cluster", "Connection"]


class Cluster:
    """One server, one namespace, one caller at a time.

    Every method raises OutsideError when the server does not answer or answers nonsense, and
    InputError when it refuses; no message shows the token.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._api = Api(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.wire.close()

    def look(self) -> None:
        """Ask for one experiment of the namespace: whether the server answers, and to this token."""
        find_experiment(self._api, "gitops", self.connection.namespace)

    def upload(self, pipeline_name: str, version_name: str, content: bytes) -> Version:
        """Make a compiled pipeline a version on the server, once, and check it there.

        Args:
            pipeline_name: created when it is missing.
            version_name: names the content, e.g. by commit and digest; a version of this name
                that exists is not uploaded again.
            content: what the compiler wrote, pipeline and platform spec.

        Raises:
            RefusedError: the server has something else under these names; it must not run.
        """
        return upload_version(self._api, pipeline_name, version_name, content)

    def start(self, order: RunOrder, *, again: bool = False) -> Started:
        """Return the one run of an order: an active or succeeded one is attached to, else created.

        Interrupted, it ends the run and goes on with the interruption.

        Args:
            order: what should run.
            again: what a run that succeeded made is gone: only an active one is attached to.

        Raises:
            RefusedError: a run of this name is not of this pipeline, or has other arguments.
            InputError: all attempts of this key are used up.
        """
        return start_run(self._api, order, again=again)

    def terminate_superseded(self, experiment: str, group: str, keep_key: str) -> tuple[str, ...]:
        """End the active runs of a group that have another key; return their names."""
        namespace = self.connection.namespace
        return terminate_superseded(self._api, experiment, namespace, group, keep_key)

    def watch(
        self,
        run_id: str,
        *,
        deadline: float,
        on_lines: Callable[[tuple[str, ...]], None],
        poll: float = 5.0,
        patience: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> RunSnapshot:
        """Follow a run until it can no longer change.

        Interrupted, it ends the run and goes on with the interruption.

        Args:
            run_id: of a started run.
            deadline: seconds from now; then the run is ended.
            on_lines: gets lines of progress as they come.
            poll: seconds between two looks.
            patience: seconds without any answer that are borne.
            clock: seconds of a monotonic clock.
            sleep: waits seconds.

        Raises:
            OutsideError: the deadline passed, the server stayed silent, or the run is gone.
        """
        watch = Watch(
            deadline=deadline,
            clock=clock,
            sleep=sleep,
            on_lines=on_lines,
            poll=poll,
            patience=patience,
        )
        return watch_run(self._api, run_id, watch)

    def read_log(self, run_id: str, task: TaskState) -> tuple[str, ...]:
        """Return the last lines of a step's log, or one line that says why there are none."""
        return read_task_log(self._api, run_id, task)

    def terminate(self, run_id: str) -> None:
        """Ask the server to end a run; one that is over or gone is left alone."""
        terminate_run(self._api, run_id)

    def reconcile_schedules(
        self, wanted: tuple[WantedSchedule, ...], owner: str
    ) -> tuple[ScheduleChange, ...]:
        """Make the owner's recurring runs what is wanted; return what was changed.

        Those of other owners, and those that people made, are not touched.
        """
        return reconcile_schedules(self._api, wanted, owner)
