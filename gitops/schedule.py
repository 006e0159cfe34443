"""The schedules that gitops.yaml wants and those that a cluster has come in; what to change goes out.

Pure. A cluster cannot edit a schedule: changing one is creating another, then deleting the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gitops.supervision import Version, has_same_values


class ScheduleAction(StrEnum):
    """What was done to a schedule."""

    CREATED = "created"
    REPLACED = "replaced"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSchedule:
    """A recurring run as gitops.yaml declares it.

    Attributes:
        name: of the schedule; one owner has each name once.
        cron: six fields, seconds first.
        experiment: that its runs belong to, created when it is missing.
        version: what runs.
        arguments: the pipeline's inputs.
        pipeline_root, service_account: empty for the cluster's defaults.
    """

    name: str
    cron: str
    experiment: str
    version: Version
    arguments: Mapping[str, Any]
    pipeline_root: str = ""
    service_account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSchedule:
    """A recurring run that the cluster has; `owner` is empty when the toolkit did not make it."""

    schedule_id: str
    name: str
    owner: str
    created: str
    enabled: bool
    cron: str
    experiment_id: str
    version: Version
    arguments: Mapping[str, Any]
    pipeline_root: str
    service_account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChange:
    """What was done to the schedule of a name, and why."""

    action: ScheduleAction
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSchedule:
    """One change: create `create` if given, then delete `remove`, in this order.

    Killed in between, both exist until the next reconciliation; the other order could leave none,
    and nobody would notice.
    """

    change: ScheduleChange
    create: WantedSchedule | None
    remove: tuple[str, ...]


def plan_schedules(
    wanted: Iterable[WantedSchedule],
    found: Iterable[FoundSchedule],
    owner: str,
    experiments: Mapping[str, str],
) -> tuple[PlannedSchedule, ...]:
    """Say what to change so that the owner's schedules are exactly those wanted.

    Args:
        wanted: what gitops.yaml declares.
        found: all that the cluster has.
        owner: whose schedules these are; those of others are left alone.
        experiments: id of each wanted schedule's experiment, by its name.
    """
    mine: dict[str, list[FoundSchedule]] = {}
    for schedule in sorted(found, key=lambda each: (each.created, each.schedule_id)):
        if schedule.owner == owner and owner:
            mine.setdefault(schedule.name, []).append(schedule)
    planned = [
        _plan_one(each, mine.pop(each.name, []), experiments[each.experiment]) for each in wanted
    ]
    planned += [_plan_removal(name, mine[name], "no longer wanted") for name in sorted(mine)]
    return tuple(each for each in planned if each is not None)


def _plan_one(
    wanted: WantedSchedule, found: list[FoundSchedule], experiment_id: str
) -> PlannedSchedule | None:
    differences = [find_difference(wanted, each, experiment_id) for each in found]
    if "" in differences:
        kept = differences.index("")
        others = [each for place, each in enumerate(found) if place != kept]
        return _plan_removal(wanted.name, others, "there were two") if others else None
    action = ScheduleAction.REPLACED if found else ScheduleAction.CREATED
    reason = differences[0] if found else "new in gitops.yaml"
    return PlannedSchedule(
        change=ScheduleChange(action=action, name=wanted.name, reason=reason),
        create=wanted,
        remove=tuple(each.schedule_id for each in found),
    )


def _plan_removal(name: str, found: list[FoundSchedule], reason: str) -> PlannedSchedule:
    return PlannedSchedule(
        change=ScheduleChange(action=ScheduleAction.REMOVED, name=name, reason=reason),
        create=None,
        remove=tuple(each.schedule_id for each in found),
    )


def find_difference(wanted: WantedSchedule, found: FoundSchedule, experiment_id: str) -> str:
    """Return the first thing in which a schedule is not as wanted, in a few words; empty for none."""
    checks = (
        (found.enabled, "somebody disabled it"),
        (found.cron == wanted.cron, "another cron"),
        (found.version == wanted.version, "another pipeline version"),
        (has_same_values(found.arguments, wanted.arguments), "other arguments"),
        (found.experiment_id == experiment_id, "another experiment"),
        (found.pipeline_root == wanted.pipeline_root, "another pipeline root"),
        (_is_same_account(wanted, found), "another service account"),
    )
    return next((reason for same, reason in checks if not same), "")


def _is_same_account(wanted: WantedSchedule, found: FoundSchedule) -> bool:
    """Servers show their default where none was given, and some show nothing where one was."""
    accounts = {wanted.service_account, found.service_account} - {""}
    return len(accounts) < 2
