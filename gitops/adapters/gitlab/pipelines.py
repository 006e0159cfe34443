"""A ref and variables come in; one new pipeline, however often the reply gets lost, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.parsing import parse_pipeline
from gitops.adapters.gitlab.trouble import UnclearError
from gitops.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.adapters.gitlab.connection import Connection
    from gitops.forge import Pipeline


def trigger_pipeline(
    connection: Connection, project: int | str, ref: str, variables: Mapping[str, str]
) -> Pipeline:
    """Start a pipeline of a ref with variables.

    Raises:
        AnswerError: GitLab refuses, for example because no job would run.
        OutsideError: after several attempts it is not known to have started.
    """
    newest = _read_newest(connection, project)
    asked = {
        "ref": ref,
        "variables": [{"key": key, "value": variables[key]} for key in sorted(variables)],
    }
    for attempt in range(1, connection.limits.attempts + 1):
        try:
            return parse_pipeline(
                connection.post_once(make_path("projects", project, "pipeline"), asked)
            )
        except UnclearError as error:
            connection.wait(error, attempt)
        if found := _find_started(connection, project, ref, variables, newest):
            return found
    raise OutsideError("the pipeline was not started", where=str(project), hint="run it again")


def _read_newest(connection: Connection, project: int | str) -> int:
    path = make_path("projects", project, "pipelines")
    found = connection.get(path, order_by="id", sort="desc", per_page=1)
    return parse_pipeline(found[0]).id if found else 0


def _find_started(
    connection: Connection,
    project: int | str,
    ref: str,
    variables: Mapping[str, str],
    newest: int,
) -> Pipeline | None:
    """Return a pipeline younger than `newest` that was started as ours would have been."""
    path = make_path("projects", project, "pipelines")
    for raw in connection.pages(path, order_by="id", sort="desc", ref=ref, source="api"):
        pipeline = parse_pipeline(raw)
        if pipeline.id <= newest:
            return None
        given = connection.get(f"{path}/{pipeline.id}/variables")
        if {one["key"]: one["value"] for one in given} == dict(variables):
            return pipeline
    return None
