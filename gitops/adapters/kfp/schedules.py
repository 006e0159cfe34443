"""Wanted schedules come in; the owner's recurring runs on the server become them."""

from __future__ import annotations

from typing import Any

from gitops.adapters.kfp.api import Api
from gitops.adapters.kfp.connection import AnswerError, UnclearError
from gitops.adapters.kfp.runs import need_experiment
from gitops.adapters.kfp.uploads import make_once
from gitops.schedule import (
    FoundSchedule,
    ScheduleChange,
    WantedSchedule,
    find_difference,
    plan_schedules,
)
from gitops.supervision import Mark, Version, parse_mark, render_mark


def parse_schedule(body: dict[str, Any]) -> FoundSchedule:
    """Read a recurring run as the API shows it; what it leaves out is empty."""
    reference = _object(body.get("pipeline_version_reference"))
    config = _object(body.get("runtime_config"))
    cron = _object(_object(body.get("trigger")).get("cron_schedule"))
    return FoundSchedule(
        schedule_id=str(body.get("recurring_run_id") or ""),
        name=str(body.get("display_name") or ""),
        owner=parse_mark(body.get("description")).owner,
        created=str(body.get("created_at") or ""),
        enabled=body.get("status") == "ENABLED",
        cron=str(cron.get("cron") or ""),
        experiment_id=str(body.get("experiment_id") or ""),
        version=Version(
            pipeline_id=str(reference.get("pipeline_id") or ""),
            version_id=str(reference.get("pipeline_version_id") or ""),
        ),
        arguments=_object(config.get("parameters")),
        pipeline_root=str(config.get("pipeline_root") or ""),
        service_account=str(body.get("service_account") or ""),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def list_schedules(api: Api) -> tuple[FoundSchedule, ...]:
    """Return all recurring runs of the namespace."""
    listed = api.pages(
        api.schedules.recurring_run_service_list_recurring_runs,
        "recurringRuns",
        namespace=api.connection.namespace,
    )
    return tuple(parse_schedule(item) for item in listed)


def reconcile_schedules(
    api: Api, wanted: tuple[WantedSchedule, ...], owner: str
) -> tuple[ScheduleChange, ...]:
    """Create, replace and delete; as `Cluster.reconcile_schedules` says."""
    namespace = api.connection.namespace
    names = sorted({each.experiment for each in wanted})
    experiments = {name: need_experiment(api, name, namespace) for name in names}
    planned = plan_schedules(wanted, list_schedules(api), owner, experiments)
    for each in planned:
        if each.create is not None:
            _create(api, each.create, owner, experiments[each.create.experiment])
        for schedule_id in each.remove:
            _delete(api, schedule_id)
    return tuple(each.change for each in planned)


def _create(api: Api, wanted: WantedSchedule, owner: str, experiment_id: str) -> None:
    models = api.models
    body = models.V2beta1RecurringRun(
        display_name=wanted.name,
        description=render_mark(Mark(owner=owner)),
        experiment_id=experiment_id,
        namespace=api.connection.namespace,
        pipeline_version_reference=models.V2beta1PipelineVersionReference(
            pipeline_id=wanted.version.pipeline_id, pipeline_version_id=wanted.version.version_id
        ),
        runtime_config=models.V2beta1RuntimeConfig(
            parameters=dict(wanted.arguments), pipeline_root=wanted.pipeline_root or None
        ),
        service_account=wanted.service_account or None,
        trigger=models.V2beta1Trigger(cron_schedule=models.V2beta1CronSchedule(cron=wanted.cron)),
        mode=models.RecurringRunMode.ENABLE,
        # One at a time, and none for the time in which the cluster was down.
        max_concurrency="1",
        no_catchup=True,
    )

    def look() -> str:
        mine = (
            each for each in list_schedules(api) if (each.name, each.owner) == (wanted.name, owner)
        )
        same = (each for each in mine if not find_difference(wanted, each, experiment_id))
        return next((each.schedule_id for each in same), "")

    def create() -> object:
        return api.send(api.schedules.recurring_run_service_create_recurring_run, body)

    make_once(api, look, create, f"schedule {wanted.name}")


def _delete(api: Api, schedule_id: str) -> None:
    try:
        api.send(api.schedules.recurring_run_service_delete_recurring_run, schedule_id)
    except AnswerError as error:
        if error.status != 404:
            raise
    except UnclearError:
        if any(each.schedule_id == schedule_id for each in list_schedules(api)):
            raise
