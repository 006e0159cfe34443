"""A server's address, a token and a question come in; what GitLab says, as values of `gitops.forge`, goes out.

The only user of python-gitlab. Requests are bounded in time, repeated only where that can do no
harm, and never leave the server they were meant for; the token is in no exception and no log.
"""

from __future__ import annotations

from gitops.adapters.gitlab.connection import Connection, connect
from gitops.adapters.gitlab.notes import PostedNote, check_head, upsert_note
from gitops.adapters.gitlab.pipelines import trigger_pipeline
from gitops.adapters.gitlab.project import (
    read_member_role,
    read_members,
    read_pipelines,
    read_project,
    read_protected_branches,
    read_resource_groups,
    read_token,
    read_user,
    read_variables,
)
from gitops.adapters.gitlab.redaction import Redactor
from gitops.adapters.gitlab.review import (
    read_approvals,
    read_label_events,
    read_merge_request,
    read_merge_request_pipelines,
    read_versions,
)
from gitops.adapters.gitlab.statuses import read_statuses, set_status
from gitops.adapters.gitlab.trouble import AnswerError, ConflictError, Limits, UnclearError
from gitops.adapters.gitlab.uploads import upload

__all__ = [
    "AnswerError",
    "ConflictError",
    "Connection",
    "Limits",
    "PostedNote",
    "Redactor",
    "UnclearError",
    "check_head",
    "connect",
    "read_approvals",
    "read_label_events",
    "read_member_role",
    "read_members",
    "read_merge_request",
    "read_merge_request_pipelines",
    "read_pipelines",
    "read_project",
    "read_protected_branches",
    "read_resource_groups",
    "read_statuses",
    "read_token",
    "read_user",
    "read_variables",
    "read_versions",
    "set_status",
    "trigger_pipeline",
    "upload",
    "upsert_note",
]
