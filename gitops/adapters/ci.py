"""The environment of the process comes in; where it runs, and how far it is trusted, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.config import Zone
from gitops.errors import InputError

_PROPOSED = ("merge_request_event", "external_pull_request_event")


@dataclass(frozen=True, slots=True, kw_only=True)
class CiContext:
    """What GitLab CI says about this job; on a person's machine everything but the zone is empty.

    Attributes:
        zone: which part of the store may be read and written.
        base: commit that the merge request's changes are compared with.
        target_branch: branch that the merge request goes to.
        merge_request: reference such as `group/project!7`.
    """

    zone: Zone
    base: str = ""
    target_branch: str = ""
    merge_request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequestJob:
    """What a job of a merge request's pipeline speaks for.

    Attributes:
        server: address of GitLab.
        project: project of the merge request.
        pipeline_project: project that the pipeline runs in; a fork's may run in the fork.
        number: the merge request's.
        commit: head of the source branch; a merged result's own commit is on no branch.
        pipeline: the parent pipeline, which the merge request shows.
        is_merged_result: the pipeline is of GitLab's own merge of both branches; it has no status
            of `commit`.
        link: address of the pipeline of this job, where its reports are.
    """

    server: str
    project: int
    pipeline_project: int
    number: int
    commit: str
    pipeline: int
    is_merged_result: bool
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectJob:
    """Where a job of any pipeline runs: the address of GitLab, and the id of the project."""

    server: str
    project: int


def read_project_job(environ: Mapping[str, str]) -> ProjectJob | None:
    """Read where a job runs; None outside GitLab CI. Raises InputError when the job does not know."""
    if environ.get("GITLAB_CI") != "true":
        return None
    server, project = environ.get("CI_SERVER_URL", ""), environ.get("CI_PROJECT_ID", "")
    if not server or not (project.isascii() and project.isdigit()):
        raise InputError(
            f"CI_SERVER_URL is {server!r} and CI_PROJECT_ID is {project!r}: no GitLab sets that",
            hint="leave the predefined variables of GitLab CI as they are",
        )
    return ProjectJob(server=server, project=int(project))


def read_merge_request_job(environ: Mapping[str, str]) -> MergeRequestJob:
    """Read which merge request a job speaks for; raise InputError when it speaks for none."""
    own = environ.get("CI_PROJECT_ID", "")
    found = {
        "CI_SERVER_URL": environ.get("CI_SERVER_URL", ""),
        "CI_PROJECT_ID": own,
        "CI_MERGE_REQUEST_IID": environ.get("CI_MERGE_REQUEST_IID", ""),
        "CI_MERGE_REQUEST_PROJECT_ID": environ.get("CI_MERGE_REQUEST_PROJECT_ID") or own,
        "CI_PIPELINE_ID": environ.get("GITOPS_PIPELINE_ID") or environ.get("CI_PIPELINE_ID", ""),
        "CI_COMMIT_SHA": environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA")
        or environ.get("CI_COMMIT_SHA", ""),
    }
    for name, value in found.items():
        if not value or (name.endswith("ID") and not (value.isascii() and value.isdigit())):
            raise InputError(
                f"{name} is {value!r}: this is no job of a merge request",
                hint="at a desk, `gitops check` shows the same report",
            )
    return MergeRequestJob(
        server=found["CI_SERVER_URL"],
        project=int(found["CI_MERGE_REQUEST_PROJECT_ID"]),
        pipeline_project=int(own),
        number=int(found["CI_MERGE_REQUEST_IID"]),
        commit=found["CI_COMMIT_SHA"],
        pipeline=int(found["CI_PIPELINE_ID"]),
        is_merged_result=found["CI_COMMIT_SHA"] != environ.get("CI_COMMIT_SHA"),
        link=environ.get("CI_PIPELINE_URL", ""),
    )


def read_ci(environ: Mapping[str, str]) -> CiContext:
    """Read the predefined variables of GitLab CI."""
    if environ.get("GITLAB_CI") != "true":
        return CiContext(zone=Zone.LOCAL)
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    project = environ.get("CI_MERGE_REQUEST_PROJECT_PATH", environ.get("CI_PROJECT_PATH", ""))
    return CiContext(
        zone=_zone(environ),
        base=environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
        target_branch=environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", ""),
        merge_request=f"{project}!{number}" if number else "",
    )


def _zone(environ: Mapping[str, str]) -> Zone:
    """Only a pipeline of a protected ref that is no merge request runs reviewed code.

    A child pipeline has another source than its parent, but the merge request's variables.
    """
    is_protected = environ.get("CI_COMMIT_REF_PROTECTED") == "true"
    is_proposed = environ.get("CI_PIPELINE_SOURCE", "") in _PROPOSED or any(
        value for name, value in environ.items() if name.startswith("CI_MERGE_REQUEST_")
    )
    return Zone.PROTECTED if is_protected and not is_proposed else Zone.UNTRUSTED
