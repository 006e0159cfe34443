"""A project comes in; what GitLab says about it, its members and its rules goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.parsing import (
    parse_pipeline,
    parse_project,
    parse_protected_branch,
    parse_resource_group,
    parse_role,
    parse_token,
    parse_user,
    parse_variable,
)
from gitops.adapters.gitlab.trouble import AnswerError
from gitops.forge import Role

if TYPE_CHECKING:
    from gitops.adapters.gitlab.connection import Connection
    from gitops.forge import (
        Pipeline,
        Project,
        ProtectedBranch,
        ResourceGroup,
        TokenFacts,
        User,
        Variable,
    )


def read_user(connection: Connection) -> User:
    """Return who the token belongs to."""
    return parse_user(connection.get(make_path("user")))


def read_token(connection: Connection) -> TokenFacts:
    """Return what the token may do and until when; AnswerError for tokens that cannot tell."""
    return parse_token(connection.get(make_path("personal_access_tokens", "self")))


def read_project(connection: Connection, project: int | str) -> Project:
    """Return a project, named by its id or its full path."""
    return parse_project(connection.get(make_path("projects", project)))


def read_members(connection: Connection, project: int | str) -> tuple[tuple[User, Role], ...]:
    """Return everybody who may do something in a project, through a group too."""
    found = connection.pages(make_path("projects", project, "members", "all"))
    return tuple((parse_user(raw), parse_role(raw)) for raw in found)


def read_member_role(connection: Connection, project: int | str, user: int) -> Role:
    """Return what a user may do in a project; NONE for somebody who is no member."""
    try:
        return parse_role(connection.get(make_path("projects", project, "members", "all", user)))
    except AnswerError as error:
        if error.status != 404:
            raise
        return Role.NONE


def read_protected_branches(
    connection: Connection, project: int | str
) -> tuple[ProtectedBranch, ...]:
    """Return the protected branches and patterns of a project."""
    found = connection.pages(make_path("projects", project, "protected_branches"))
    return tuple(parse_protected_branch(raw) for raw in found)


def read_variables(connection: Connection, project: int | str) -> tuple[Variable, ...]:
    """Return the names and flags of a project's CI variables, without their values."""
    found = connection.pages(make_path("projects", project, "variables"))
    return tuple(parse_variable(raw) for raw in found)


def read_resource_groups(connection: Connection, project: int | str) -> tuple[ResourceGroup, ...]:
    """Return the resource groups that a project's jobs have used."""
    found = connection.pages(make_path("projects", project, "resource_groups"))
    return tuple(parse_resource_group(raw) for raw in found)


def read_pipelines(
    connection: Connection, project: int | str, *, sha: str = "", ref: str = ""
) -> tuple[Pipeline, ...]:
    """Return the pipelines of a commit or a ref, newest first."""
    query = {name: value for name, value in (("sha", sha), ("ref", ref)) if value}
    path = make_path("projects", project, "pipelines")
    found = connection.pages(path, order_by="id", sort="desc", **query)
    return tuple(parse_pipeline(raw) for raw in found)
