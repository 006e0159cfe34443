"""A checkout, and a connection to GitLab if there is one, come in; facts for `gitops doctor` go out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from gitops.adapters.dvc.remote import parse_config
from gitops.adapters.git.process import run_git
from gitops.adapters.git.repository import GitRepository
from gitops.config import CONFIG_PATH
from gitops.doctor.desk import (
    check_config,
    check_dvc_config,
    check_pins,
    check_remote,
    check_tools,
)
from gitops.doctor.facts import (
    Advice,
    ConfigState,
    DvcConfigState,
    ProjectFacts,
    RemoteState,
    Tools,
    Unread,
)
from gitops.doctor.pins import FILE_LIMIT, CiFile, Kind, Local, Reference, parse_ci_file
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.flow.inputs import read_inputs
from gitops.flow.workspace import Workspace, open_workspace, read_config

if TYPE_CHECKING:
    from gitops.adapters.gitlab import Connection

CI_FILE = ".gitlab-ci.yml"
MOST_CI_FILES = 100
REMOTE_SECONDS = 30.0

_GIT_VERSION = re.compile(rb"git version (\d+)\.(\d+)")
_SSH_ORIGIN = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!/)(.+)")
# What makes another place of a remote; anything else in a config.local is a credential.
_REPLACES = {"url", "verify", "version_aware", "worktree"}
_DVC_CONFIG = ".dvc/config"
T = TypeVar("T")


def examine_desk(start: Path, environ: Mapping[str, str]) -> tuple[Advice, ...]:
    """Check the repository around a folder, its data remote, and the machine; GitLab is not asked.

    Raises:
        InputError: the folder is in no repository, or the repository has no commit.
    """
    tools = read_tools(start)
    advice = check_tools(tools)
    if tools.git is None:
        return (advice,)
    repository = GitRepository.find(start)
    head = repository.read_commit("HEAD")
    workspace = _attempt(lambda: open_workspace(start, environ), f"correct {CONFIG_PATH} first")
    return (
        advice,
        check_config("config", _read_config_state(repository, head, "this commit")),
        check_config("target-config", _on(workspace, _read_target_config)),
        check_remote(_on(workspace, _read_remote_state)),
        check_dvc_config(_on(workspace, _read_dvc_config)),
        *_known(_on(workspace, _examine_cluster)),
        *check_pins(_attempt(lambda: read_references(repository, head), f"write {CI_FILE}")),
    )


def _examine_cluster(workspace: Workspace) -> tuple[Advice, ...]:
    from gitops.flow.examining_cluster import examine_cluster

    return tuple(examine_cluster(workspace, os.environ))


def _known(advice: tuple[Advice, ...] | Unread) -> tuple[Advice, ...]:
    """Return nothing for what other checks have said to be wrong already."""
    return () if isinstance(advice, Unread) else advice


def read_tools(folder: Path) -> Tools:
    """Return the versions of Python and git on this machine, which may be a runner's image."""
    try:
        _, output = run_git(folder, ("version",), environ=os.environ)
    except InputError:
        return Tools(python=sys.version_info[:2], git=None)
    match = _GIT_VERSION.match(output)
    version = (int(match[1]), int(match[2])) if match else None
    return Tools(python=sys.version_info[:2], git=version)


def _attempt(read: Callable[[], T], step: str) -> T | Unread:
    """Read a fact; that it cannot be read is a fact too, and GitLab's silence is not ours to judge."""
    try:
        return read()
    except GitopsError as error:
        return Unread(reason=str(error), next=error.hint or step)


def _on(workspace: Workspace | Unread, read: Callable[[Workspace], T]) -> T | Unread:
    if isinstance(workspace, Unread):
        return workspace
    return _attempt(lambda: read(workspace), "gitops plan")


def _read_config_state(repository: GitRepository, commit: str, where: str) -> ConfigState:
    try:
        found = read_config(repository, commit)
    except InputError as error:
        return ConfigState(where=where, present=True, problem=str(error), hint=error.hint)
    return ConfigState(where=where, present=found is not None)


def _read_target_config(workspace: Workspace) -> ConfigState:
    request = workspace.request
    if not request.target:
        raise InputError(
            f"the target branch {request.target_branch} is not in this clone",
            hint=f"git fetch origin {request.target_branch}",
        )
    return _read_config_state(workspace.repository, request.target, request.target_branch)


def _read_remote_state(workspace: Workspace) -> RemoteState:
    from gitops.adapters import dvc

    try:
        remote = workspace.remote
    except InputError as error:
        return RemoteState(address=error.where, problem=error.what, hint=error.hint)
    commit = workspace.request.target or workspace.request.head
    config = workspace.settled
    found = read_inputs(workspace.repository, commit, config).values()
    pointers = [inputs.pointer for inputs in found if inputs.pointer]
    try:
        missing = dvc.find_missing(remote, pointers, cache=workspace.cache, timeout=REMOTE_SECONDS)
    except OutsideError as error:
        return RemoteState(address=remote.address, problem=error.what)
    lacking = tuple(dict.fromkeys(absent.pointer.target for absent in missing))
    return RemoteState(address=remote.address, pointers=len(pointers), missing=lacking)


def _read_dvc_config(workspace: Workspace) -> DvcConfigState:
    request, repository = workspace.request, workspace.repository
    committed, local = workspace.dvc_config
    here = (repository.read_file(request.head, _DVC_CONFIG) or b"").decode("utf-8", "replace")
    return DvcConfigState(
        tracked_local=bool(repository.read_entries(request.head, [f"{_DVC_CONFIG}.local"])),
        changed=here != committed,
        overridden=tuple(find_overridden(committed, local or "")),
    )


def find_overridden(committed: str, local: str) -> list[str]:
    """Return what a machine's own DVC config replaces of the committed one, credentials aside."""
    ours, theirs = parse_config(committed), parse_config(local, f"{_DVC_CONFIG}.local")
    return [
        f"{section}: {option}"
        for section, options in theirs.items()
        for option, value in options.items()
        if _replaces(section, option) and section in ours and ours[section].get(option) != value
    ]


def _replaces(section: str, option: str) -> bool:
    if section.startswith("remote "):
        return option in _REPLACES
    return (section, option) == ("core", "remote")


def read_references(repository: GitRepository, commit: str) -> tuple[Reference, ...]:
    """Return the images and includes of a commit's CI file and of the local files it includes.

    Raises:
        InputError: there is no CI file, or one of them cannot be read.
    """
    found: list[Reference] = []
    waiting = [Local(path=CI_FILE)]
    seen = set(waiting)
    while waiting:
        file = waiting.pop()
        content = repository.read_file(commit, file.path, limit=FILE_LIMIT)
        if content is None:
            raise InputError("no such file at this commit", where=file.path)
        parsed = parse_ci_file(content, file)
        found += [*parsed.references, *_hidden(file, parsed)]
        for local in parsed.local:
            fresh = [one for one in _expand(repository, commit, local) if one not in seen]
            seen.update(fresh)
            waiting += fresh
        if len(seen) > MOST_CI_FILES:
            raise InputError(f"it includes more than {MOST_CI_FILES} files", where=CI_FILE)
    return tuple(found)


def _expand(repository: GitRepository, commit: str, local: Local) -> list[Local]:
    if "$" in local.path:
        return []
    if "*" not in local.path:
        return [local]
    names = (entry.path for entry in repository.read_tree(commit))
    return [replace(local, path=name) for name in names if fnmatchcase(name, local.path)]


def _hidden(file: Local, parsed: CiFile) -> list[Reference]:
    """Return the files whose names only the pipeline knows: nobody can tell what they name."""
    return [
        Reference(kind=Kind.INCLUDE, name=local.path, where=file.path, pinned=None)
        for local in parsed.local
        if "$" in local.path
    ]


def read_project_facts(
    connection: Connection, project: str, branch: str, today: date
) -> ProjectFacts:
    """Ask GitLab; what the token may not ask stays unread.

    Raises:
        OutsideError: GitLab does not answer.
    """
    from gitops.adapters import gitlab

    def ask(read: Callable[[], T]) -> T | Unread:
        try:
            return read()
        except InputError as error:
            step = "ask with a token of a maintainer of the project, scope api or read_api"
            return Unread(reason=str(error), next=step)

    return ProjectFacts(
        branch=branch,
        today=today,
        project=ask(lambda: gitlab.read_project(connection, project)),
        token=ask(lambda: gitlab.read_token(connection)),
        branches=ask(lambda: gitlab.read_protected_branches(connection, project)),
        variables=ask(lambda: gitlab.read_variables(connection, project)),
        groups=ask(lambda: gitlab.read_resource_groups(connection, project)),
    )


def find_project(origin: str, address: str) -> str:
    """Return the project's path if the Git remote is on that GitLab, else nothing.

    The token's server is never taken from a clone's own remote: that may be anybody's.
    """
    host = urlsplit(address).hostname
    match = _SSH_ORIGIN.fullmatch(origin)
    if match and "://" not in origin:
        found, path = match[1], match[2]
    else:
        parts = urlsplit(origin)
        found, path = parts.hostname or "", parts.path
    return path.strip("/").removesuffix(".git") if host and found == host else ""
