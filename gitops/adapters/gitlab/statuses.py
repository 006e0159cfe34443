"""A state for a commit comes in; GitLab shows exactly that state on exactly that commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.notes import check_head
from gitops.adapters.gitlab.parsing import parse_status
from gitops.adapters.gitlab.trouble import AnswerError, UnclearError
from gitops.errors import OutsideError

if TYPE_CHECKING:
    from gitops.adapters.gitlab.connection import Connection
    from gitops.forge import CommitStatus

LONGEST_DESCRIPTION = 255


def read_statuses(
    connection: Connection, project: int | str, sha: str, *, name: str = ""
) -> tuple[CommitStatus, ...]:
    """Return the present statuses of a commit, CI jobs included; of one name if it is given."""
    path = make_path("projects", project, "repository", "commits", sha, "statuses")
    found = connection.pages(path, **({"name": name} if name else {}))
    return tuple(status for raw in found if (status := parse_status(raw)))


def set_status(
    connection: Connection, project: int | str, status: CommitStatus, *, iid: int | None = None
) -> CommitStatus:
    """Set a status unless it is set already; return what GitLab shows afterwards.

    With `iid` the commit must be the head of that merge request.

    Raises:
        ConflictError: the merge request has moved on, or GitLab says so.
        OutsideError: after several attempts it is not known to be set.
    """
    if iid is not None:
        check_head(connection, project, iid, status.sha)
    wanted = replace(
        status,
        description=status.description[:LONGEST_DESCRIPTION],
        author=connection.own_id,
    )
    for attempt in range(1, connection.limits.attempts + 1):
        if found := _find_same(connection, project, wanted):
            return found
        try:
            return _post(connection, project, wanted)
        except UnclearError as error:
            connection.wait(error, attempt)
    raise OutsideError("the status was not set", where=status.sha, hint="run it again")


def _post(connection: Connection, project: int | str, wanted: CommitStatus) -> CommitStatus:
    path = make_path("projects", project, "statuses", wanted.sha)
    try:
        raw = connection.post_once(path, _render(wanted))
    except AnswerError as error:
        # GitLab refuses a state that is there already: another job may have set it since we looked.
        found = _find_same(connection, project, wanted) if _is_transition(error) else None
        if found is None:
            raise
        return found
    return parse_status(raw) or wanted


def _is_transition(error: AnswerError) -> bool:
    return error.status == 400 and "Cannot transition" in error.what


def _find_same(
    connection: Connection, project: int | str, wanted: CommitStatus
) -> CommitStatus | None:
    """Return the status if it is there as wanted; somebody else's of that name does not count."""
    for status in read_statuses(connection, project, wanted.sha, name=wanted.name):
        same_pipeline = wanted.pipeline_id in (None, status.pipeline_id)
        mine = status.name == wanted.name and status.author == wanted.author
        if mine and same_pipeline and status.state is wanted.state:
            return status
    return None


def _render(status: CommitStatus) -> dict[str, Any]:
    body = {
        "state": status.state.value,
        "name": status.name,
        "description": status.description,
        "target_url": status.target_url,
        "pipeline_id": status.pipeline_id,
    }
    return {name: value for name, value in body.items() if value not in ("", None)}
