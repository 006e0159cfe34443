"""What GitLab says about a project, its merge requests and their people goes through here, as values.

Only facts, no judgement: who may waive a verdict, or what a project should change, is decided from
these. A fact that GitLab did not tell is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """What a member may do in a project; roles compare by might."""

    NONE = 0
    MINIMAL = 5
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50
    ADMIN = 60


def make_role(level: int) -> Role:
    """Return the mightiest role that an access level covers; a level between two is the lower one."""
    return max(role for role in Role if role <= max(level, 0))


class StatusState(StrEnum):
    """The state of a commit status."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


class LabelAction(StrEnum):
    """What somebody did with a label."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody with an account, a person or a bot."""

    id: int
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and those of its settings that decide how safe its pipelines are.

    Attributes:
        fork_pipelines_in_parent: members may run a fork's pipeline with this project's variables.
        job_token_may_push: a job may push to the repository with its own token.
        separated_caches: protected and unprotected refs do not share a cache.
        ci_file: where the CI configuration is; empty for the usual place.
    """

    id: int
    path: str
    default_branch: str
    web_url: str
    visibility: str | None = None
    fork_pipelines_in_parent: bool | None = None
    job_token_may_push: bool | None = None
    separated_caches: bool | None = None
    merge_needs_pipeline: bool | None = None
    ci_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """A merge request as it is right now.

    Attributes:
        sha: head of the source branch; changes with every push.
        source_project: None when the fork was deleted.
        merge_commit: what it was merged as, if it was and such a commit was made; else empty.
        squash_commit: what its commits were squashed to; else empty.
    """

    iid: int
    state: str
    sha: str
    source_branch: str
    target_branch: str
    source_project: int | None
    target_project: int
    author: User
    labels: tuple[str, ...]
    is_draft: bool
    web_url: str
    merge_commit: str = ""
    squash_commit: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether it can still be merged."""
        return self.state == "opened"

    @property
    def is_fork(self) -> bool:
        """Tell whether its code lives in another project."""
        return self.source_project != self.target_project


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One push to a merge request; an approval or a label older than it saw other code."""

    head: str
    base: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An approval that stands; `at` is None where the server is too old to tell."""

    user: User
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEvent:
    """A label that was set or removed; `user` is None for a deleted account."""

    label: str
    action: LabelAction
    user: User | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedBranch:
    """A protected branch, or a pattern of branches.

    Attributes:
        push: roles that may push; NONE means nobody by role.
        merge: roles that may merge.
        has_exceptions: single users, groups or deploy keys may push besides.
    """

    name: str
    push: tuple[Role, ...]
    merge: tuple[Role, ...]
    allows_force_push: bool
    has_exceptions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A CI variable of a project: everything but its value, which is never read."""

    key: str
    is_protected: bool
    is_masked: bool
    is_hidden: bool
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline."""

    id: int
    sha: str
    ref: str
    status: str
    source: str
    web_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStatus:
    """A named state on one commit, within one pipeline when that is known."""

    sha: str
    name: str
    state: StatusState
    description: str = ""
    target_url: str = ""
    pipeline_id: int | None = None
    author: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceGroup:
    """A lock that jobs share, and in which order waiting jobs get it."""

    key: str
    process_mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What an access token may do and until when; never the token itself."""

    name: str
    scopes: tuple[str, ...]
    expires_on: date | None
    is_active: bool
