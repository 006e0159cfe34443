"""A merge request comes in; its head, and who approved or labelled it when, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.parsing import (
    parse_approvals,
    parse_label_event,
    parse_merge_request,
    parse_pipeline,
    parse_version,
)

if TYPE_CHECKING:
    from gitops.adapters.gitlab.connection import Connection
    from gitops.forge import Approval, LabelEvent, MergeRequest, Pipeline, Version


def read_merge_request(connection: Connection, project: int | str, iid: int) -> MergeRequest:
    """Return a merge request as it is right now."""
    return parse_merge_request(connection.get(_path(project, iid)))


def read_versions(connection: Connection, project: int | str, iid: int) -> tuple[Version, ...]:
    """Return the pushes of a merge request, newest first."""
    found = connection.pages(_path(project, iid, "versions"))
    return tuple(parse_version(raw) for raw in found)


def read_approvals(connection: Connection, project: int | str, iid: int) -> tuple[Approval, ...]:
    """Return the approvals that stand. On the Free tier they survive a push: compare the times."""
    return parse_approvals(connection.get(_path(project, iid, "approvals")))


def read_label_events(
    connection: Connection, project: int | str, iid: int
) -> tuple[LabelEvent, ...]:
    """Return who set and removed which label, oldest first."""
    found = connection.pages(_path(project, iid, "resource_label_events"))
    events = (parse_label_event(raw) for raw in found)
    return tuple(sorted((event for event in events if event), key=lambda event: event.at))


def read_merge_request_pipelines(
    connection: Connection, project: int | str, iid: int
) -> tuple[Pipeline, ...]:
    """Return the pipelines of a merge request, newest first."""
    found = connection.pages(_path(project, iid, "pipelines"))
    return tuple(sorted((parse_pipeline(raw) for raw in found), key=lambda one: -one.id))


def _path(project: int | str, iid: int, *rest: str) -> str:
    return make_path("projects", project, "merge_requests", iid, *rest)
