"""Parsed JSON of GitLab's API comes in; values of `gitops.forge` go out.

What is always there and is not, is an error with its name; what GitLab tells only to some roles,
tiers or since some release is None when it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from gitops.errors import OutsideError
from gitops.forge import (
    Approval,
    CommitStatus,
    LabelAction,
    LabelEvent,
    MergeRequest,
    Pipeline,
    Project,
    ProtectedBranch,
    ResourceGroup,
    Role,
    StatusState,
    TokenFacts,
    User,
    Variable,
    Version,
    make_role,
)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNote:
    """A note of a merge request, anybody's."""

    id: int
    author: int
    text: str
    is_system: bool


def parse_note(raw: Any) -> RawNote:
    """Parse a note."""
    return RawNote(
        id=_get(raw, "id", int),
        author=parse_user(_get(raw, "author", dict)).id,
        text=_get(raw, "body", str),
        is_system=_find(raw, "system", bool) or False,
    )


def parse_user(raw: Any) -> User:
    """Parse a user, in full or as part of something else."""
    return User(id=_get(raw, "id", int), username=_get(raw, "username", str))


def parse_project(raw: Any) -> Project:
    """Parse a project; its settings are there for maintainers only."""
    return Project(
        id=_get(raw, "id", int),
        path=_get(raw, "path_with_namespace", str),
        default_branch=_find(raw, "default_branch", str) or "",
        web_url=_get(raw, "web_url", str),
        visibility=_find(raw, "visibility", str),
        fork_pipelines_in_parent=_find(
            raw, "ci_allow_fork_pipelines_to_run_in_parent_project", bool
        ),
        job_token_may_push=_find(raw, "ci_push_repository_for_job_token_allowed", bool),
        separated_caches=_find(raw, "ci_separated_caches", bool),
        merge_needs_pipeline=_find(raw, "only_allow_merge_if_pipeline_succeeds", bool),
        ci_file=(raw["ci_config_path"] or "") if "ci_config_path" in raw else None,
    )


def parse_merge_request(raw: Any) -> MergeRequest:
    """Parse a merge request."""
    return MergeRequest(
        iid=_get(raw, "iid", int),
        state=_get(raw, "state", str),
        sha=_get(raw, "sha", str),
        source_branch=_get(raw, "source_branch", str),
        target_branch=_get(raw, "target_branch", str),
        source_project=_find(raw, "source_project_id", int),
        target_project=_get(raw, "target_project_id", int),
        author=parse_user(_get(raw, "author", dict)),
        labels=tuple(_get(raw, "labels", list)),
        is_draft=_find(raw, "draft", bool) or False,
        web_url=_get(raw, "web_url", str),
        merge_commit=_find(raw, "merge_commit_sha", str) or "",
        squash_commit=_find(raw, "squash_commit_sha", str) or "",
    )


def parse_version(raw: Any) -> Version:
    """Parse one version of a merge request's changes."""
    return Version(
        head=_get(raw, "head_commit_sha", str),
        base=_get(raw, "base_commit_sha", str),
        created_at=_parse_time(_get(raw, "created_at", str)),
    )


def parse_approvals(raw: Any) -> tuple[Approval, ...]:
    """Parse the approvals of a merge request."""
    return tuple(_parse_approval(entry) for entry in _get(raw, "approved_by", list))


def _parse_approval(raw: Any) -> Approval:
    at = _find(raw, "approved_at", str)
    return Approval(user=parse_user(_get(raw, "user", dict)), at=_parse_time(at) if at else None)


def parse_label_event(raw: Any) -> LabelEvent | None:
    """Parse an event; None when the label itself was deleted since, so that nobody can tell it."""
    label, user = _find(raw, "label", dict), _find(raw, "user", dict)
    if label is None:
        return None
    return LabelEvent(
        label=_get(label, "name", str),
        action=LabelAction(_get(raw, "action", str)),
        user=parse_user(user) if user else None,
        at=_parse_time(_get(raw, "created_at", str)),
    )


def parse_role(raw: Any) -> Role:
    """Parse what a member may do; somebody whose membership waits or is blocked may do nothing."""
    blocked = _find(raw, "state", str) not in (None, "active")
    waiting = _find(raw, "membership_state", str) not in (None, "active")
    return Role.NONE if blocked or waiting else make_role(_get(raw, "access_level", int))


def parse_protected_branch(raw: Any) -> ProtectedBranch:
    """Parse a protected branch or pattern."""
    pushers = _get(raw, "push_access_levels", list)
    named = ("user_id", "group_id", "deploy_key_id")
    return ProtectedBranch(
        name=_get(raw, "name", str),
        push=_parse_roles(pushers),
        merge=_parse_roles(_get(raw, "merge_access_levels", list)),
        allows_force_push=_get(raw, "allow_force_push", bool),
        has_exceptions=any(level.get(key) for level in pushers for key in named),
    )


def _parse_roles(levels: list[Any]) -> tuple[Role, ...]:
    found = (_find(level, "access_level", int) for level in levels)
    return tuple(make_role(level) for level in found if level is not None)


def parse_variable(raw: Any) -> Variable:
    """Parse a CI variable; its value is dropped here."""
    return Variable(
        key=_get(raw, "key", str),
        is_protected=_get(raw, "protected", bool),
        is_masked=_get(raw, "masked", bool),
        is_hidden=_find(raw, "hidden", bool) or False,
        environment=_find(raw, "environment_scope", str) or "*",
    )


def parse_pipeline(raw: Any) -> Pipeline:
    """Parse a pipeline."""
    return Pipeline(
        id=_get(raw, "id", int),
        sha=_get(raw, "sha", str),
        ref=_get(raw, "ref", str),
        status=_get(raw, "status", str),
        source=_find(raw, "source", str) or "",
        web_url=_find(raw, "web_url", str) or "",
    )


def parse_status(raw: Any) -> CommitStatus | None:
    """Parse a commit status; None for a state that only CI jobs have, such as `manual`."""
    state = _get(raw, "status", str)
    if state not in set(StatusState):
        return None
    author = _find(raw, "author", dict)
    return CommitStatus(
        sha=_get(raw, "sha", str),
        name=_get(raw, "name", str),
        state=StatusState(state),
        description=_find(raw, "description", str) or "",
        target_url=_find(raw, "target_url", str) or "",
        pipeline_id=_find(raw, "pipeline_id", int),
        author=_get(author, "id", int) if author else None,
    )


def parse_resource_group(raw: Any) -> ResourceGroup:
    """Parse a resource group."""
    return ResourceGroup(key=_get(raw, "key", str), process_mode=_get(raw, "process_mode", str))


def parse_token(raw: Any) -> TokenFacts:
    """Parse what a token says about itself."""
    expires = _find(raw, "expires_at", str)
    return TokenFacts(
        name=_get(raw, "name", str),
        scopes=tuple(_get(raw, "scopes", list)),
        expires_on=date.fromisoformat(expires[:10]) if expires else None,
        is_active=_get(raw, "active", bool),
    )


def parse_upload(raw: Any) -> str:
    """Parse the address of an upload, relative to its project."""
    return _get(raw, "url", str)


def _get(raw: Any, key: str, kind: type[_Value]) -> _Value:
    value = _find(raw, key, kind)
    if value is None:
        raise OutsideError(f"GitLab's answer has no {key}", hint="is the address a GitLab server?")
    return value


def _find(raw: Any, key: str, kind: type[_Value]) -> _Value | None:
    """Return a value of exactly this type: a truth value is no number here."""
    value = raw.get(key) if isinstance(raw, dict) else None
    if value is None:
        return None
    if type(value) is not kind:
        raise OutsideError(f"GitLab's answer has a {type(value).__name__} as {key}")
    return value


def _parse_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise OutsideError(f"GitLab's answer has {text[:40]!r} as a time")
    return at
