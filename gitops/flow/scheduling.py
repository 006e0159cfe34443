"""The schedules of the target branch come in; the cluster has exactly those, and what was changed goes out.

A schedule starts one small step, which does what a merge does: it brings the tip of the target branch
into production. What is released already is said to be, and nothing is trained.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.config import Zone
from gitops.flow.cluster_engine import (
    Project,
    compile_placed,
    find_account,
    make_pod_arguments,
    open_cluster,
    read_project,
    upload,
)
from gitops.flow.engines import EngineWork, Kind
from gitops.flow.trust import require_reviewed
from gitops.schedule import ScheduleChange, WantedSchedule

if TYPE_CHECKING:
    from gitops.adapters.kfp.cluster import Cluster
    from gitops.engines import Kubeflow, Schedule
    from gitops.flow.workspace import Workspace


def reconcile(workspace: Workspace, environ: Mapping[str, str]) -> tuple[ScheduleChange, ...]:
    """Create, replace and remove recurring runs until they are what gitops.yaml says.

    Nothing to do where pipelines run on this machine. Raises like `run_on_cluster`.
    """
    require_reviewed(workspace.request)
    kubeflow = workspace.settled.kubeflow
    if kubeflow is None:
        return ()
    project = read_project(workspace)
    with (
        open_cluster(kubeflow, Kind.SCHEDULED, environ) as cluster,
        tempfile.TemporaryDirectory(prefix="gitops-schedule-") as scratch,
    ):
        wanted = tuple(
            _want(workspace, kubeflow, cluster, project, schedule, Path(scratch), environ)
            for schedule in kubeflow.schedules
        )
        return cluster.reconcile_schedules(wanted, project.origin)


def _want(
    workspace: Workspace,
    kubeflow: Kubeflow,
    cluster: Cluster,
    project: Project,
    schedule: Schedule,
    scratch: Path,
    environ: Mapping[str, str],
) -> WantedSchedule:
    model = workspace.settled.model(schedule.model)
    work = make_work(workspace, schedule)
    placed = compile_placed(workspace, model, work, scratch, environ)
    return WantedSchedule(
        name=f"{project.name}-{schedule.name}",
        cron=schedule.cron,
        experiment=f"{project.name}-{model.name}",
        # The same step for every commit: a merge that leaves it alone leaves its schedule alone.
        version=upload(cluster, f"{project.name}-{model.name}-{work.kind}", "tip", placed),
        arguments=make_pod_arguments(work, project),
        pipeline_root=kubeflow.pipeline_root,
        service_account=find_account(kubeflow, work.kind),
    )


def make_work(workspace: Workspace, schedule: Schedule) -> EngineWork:
    """Return the pipeline of a schedule: it names no commit, so that it takes the branch's tip."""
    tip = replace(
        workspace.request,
        head="",
        target="",
        merge_request="",
        zone=Zone.PROTECTED,
        model=schedule.model,
    )
    request = {"produce": True, "arguments": {"request": tip.to_json()}}
    return EngineWork(kind=Kind.SCHEDULED, request=request, subject=schedule.name)
