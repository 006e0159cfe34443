"""A verdict that does not pass and a merge request on GitLab come in; what a person decided there goes out.

On a merge request it is told; on the target branch it becomes a waiver like one from a file. An
answer that GitLab does not give is an error, never a waiver.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops.adapters.ci import ProjectJob, read_project_job
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.flow.credentials import GITLAB_TOKEN, read_secret
from gitops.forge_waiver import (
    LABEL,
    ForgeFacts,
    find_file_only,
    find_label_event,
    find_merge_problem,
    is_told,
    weigh_forge,
)
from gitops.gate.verdict import Outcome
from gitops.release import parse_merge_request
from gitops.waiver import Waiver, WaiverFile, Weighed, make_waiver_path, waiver_to_json

if TYPE_CHECKING:
    from gitops.adapters.gitlab import Connection
    from gitops.flow.workspace import Workspace
    from gitops.forge import Approval, LabelEvent, Role
    from gitops.release import Candidate, Target

STATUS = "gitops"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    """The merge request that a commit of the target branch names, and where to ask about it."""

    job: ProjectJob
    reference: str
    source: str
    parents: tuple[str, ...]
    branch: str

    @property
    def path(self) -> str:
        return self.reference.rpartition("!")[0]

    @property
    def number(self) -> int:
        return int(self.reference.rpartition("!")[2])


def read_facts(connection: Connection, project: int, number: int, *, reference: str) -> ForgeFacts:
    """Read what a waiver is decided by; roles only of people who matter, the request itself last.

    Raises OutsideError when GitLab does not tell all of it.
    """
    from gitops.adapters.gitlab import (
        read_approvals,
        read_label_events,
        read_merge_request,
        read_versions,
    )

    with _outside():
        events = read_label_events(connection, project, number)
        event = find_label_event(events)
        approvals = read_approvals(connection, project, number) if event else ()
        return ForgeFacts(
            reference=reference,
            versions=read_versions(connection, project, number),
            approvals=approvals,
            events=events,
            roles=_read_roles(connection, project, event, approvals),
            reader=connection.own_id,
            request=read_merge_request(connection, project, number),
        )


def _read_roles(
    connection: Connection,
    project: int,
    event: LabelEvent | None,
    approvals: tuple[Approval, ...],
) -> tuple[tuple[int, Role], ...]:
    from gitops.adapters.gitlab import read_member_role

    setters = [event.user] if event and event.user else []
    people = sorted({user.id for user in (*setters, *(one.user for one in approvals))})
    return tuple((person, read_member_role(connection, project, person)) for person in people)


@contextmanager
def _outside() -> Iterator[None]:
    """Make every failure to read the outside world's; a refusal by GitLab too is no answer."""
    try:
        yield
    except (InputError, RefusedError) as error:
        raise OutsideError(
            f"GitLab does not tell whether somebody waives the verdict: {error.what}",
            where=error.where,
            hint=error.hint,
        ) from error


def add_forge_waiver(
    workspace: Workspace, candidate: Candidate, target: Target, environ: Mapping[str, str]
) -> Target:
    """Add what GitLab says about the verdict to the waivers that the target branch holds.

    Outside GitLab CI, without a token, or when the source commit names no merge request, there is
    nothing to ask. A place in `waivers` that is no path names the merge request instead.

    Raises OutsideError when GitLab is to be asked and does not answer.
    """
    reference = parse_merge_request(target.source_message)
    if candidate.verdict.outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE) or not reference:
        return target
    token = read_secret(environ, GITLAB_TOKEN)
    job = read_project_job(environ) if token else None
    if job is None:
        return target
    merged = _Merged(
        job=job,
        reference=reference,
        source=candidate.source,
        parents=workspace.repository.read_parents(candidate.source),
        branch=target.branch,
    )
    from gitops.adapters.gitlab import connect

    with connect(merged.job.server, token) as connection:
        weighed = _ask(connection, merged, candidate)
    file = _make_file(candidate, merged, weighed)
    return replace(target, waivers=(*target.waivers, file))


def _ask(connection: Connection, merged: _Merged, candidate: Candidate) -> Weighed:
    """Return the waiver, after Git, GitLab and what the merge request was told all agree."""
    from gitops.adapters.gitlab import read_project

    verdict, project = candidate.verdict, merged.job.project
    if problem := find_file_only(verdict):
        return Weighed(void=(problem,))
    with _outside():
        if read_project(connection, project).path != merged.path:
            return Weighed(void=("it is a merge request of another project",))
    facts = read_facts(connection, project, merged.number, reference=merged.reference)
    problem = find_merge_problem(
        facts.request,
        project=project,
        branch=merged.branch,
        source=merged.source,
        parents=merged.parents,
    )
    if problem:
        return Weighed(void=(problem,))
    sha = facts.request.sha
    weighed = weigh_forge(facts, verdict, sha=sha, today=candidate.today)
    if weighed.waiver is None or is_told(_read_told(connection, project, sha), verdict):
        return weighed
    return Weighed(
        void=(f"the status of {sha[:12]} does not tell of this verdict: another one was seen",)
    )


def _read_told(connection: Connection, project: int, sha: str) -> str:
    """Return what the same account last said about a commit; what others say is hearsay."""
    from gitops.adapters.gitlab import read_statuses

    with _outside():
        found = read_statuses(connection, project, sha, name=STATUS)
    own = [one for one in found if one.name == STATUS and one.author == connection.own_id]
    newest = max(own, key=lambda one: one.pipeline_id or 0, default=None)
    return newest.description if newest else ""


def _make_file(candidate: Candidate, merged: _Merged, weighed: Weighed) -> WaiverFile:
    """Return the decision in the form of a waiver file, which the release holds to its verdict."""
    if weighed.waiver is None:
        return WaiverFile(path=f"{LABEL} on {merged.reference}", problem=weighed.void[0])
    path = make_waiver_path(candidate.config.waivers, candidate.verdict.key)
    return WaiverFile(path=path, content=_render(weighed.waiver))


def _render(waiver: Waiver) -> bytes:
    return json.dumps(waiver_to_json(waiver)).encode()
