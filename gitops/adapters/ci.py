"""The environment of the process comes in; where it runs, and how far it is trusted, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.config import Zone


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


def read_ci(environ: Mapping[str, str]) -> CiContext:
    """Read the predefined variables of GitLab CI."""
    if environ.get("GITLAB_CI") != "true":
        return CiContext(zone=Zone.LOCAL)
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    project = environ.get("CI_MERGE_REQUEST_PROJECT_PATH", environ.get("CI_PROJECT_PATH", ""))
    return CiContext(
        zone=_zone(environ, is_merge_request=bool(number)),
        base=environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
        target_branch=environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", ""),
        merge_request=f"{project}!{number}" if number else "",
    )


def _zone(environ: Mapping[str, str], *, is_merge_request: bool) -> Zone:
    """Only a pipeline of a protected ref that is no merge request runs reviewed code."""
    protected = environ.get("CI_COMMIT_REF_PROTECTED") == "true"
    return Zone.PROTECTED if protected and not is_merge_request else Zone.UNTRUSTED
