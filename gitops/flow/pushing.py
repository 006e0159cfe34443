"""What Git is about to push comes in; data that the remote lacks, and the plan, go out."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops.change import Status
from gitops.errors import InputError, OutsideError
from gitops.flow.planning import plan_changes
from gitops.flow.workspace import Workspace
from gitops.plan import Plan, Refusal
from gitops.pointer import LOCK_BYTES, Pointer, parse_lock, parse_pointer

if TYPE_CHECKING:
    from gitops.change import Base

REMOTE_SECONDS = 20.0

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCHES = "refs/heads/"
_LOCK = "dvc.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One branch that is pushed: the commit that goes, and the name it gets on the other side."""

    commit: str
    branch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What pushing a commit would lead to.

    Attributes:
        plan: what a merge request would run.
        missing: changed pointers whose data the remote lacks.
        unasked: why the remote was not asked, empty when it was.
    """

    plan: Plan
    missing: tuple[Refusal, ...]
    unasked: str = ""


def parse_pushes(text: str) -> tuple[Push, ...]:
    """Parse what Git tells a pre-push hook; deleted branches and tags have nothing to forecast.

    Raises:
        InputError: a line is not `<local ref> <local id> <remote ref> <remote id>`.
    """
    found = (_parse_push(line) for line in text.splitlines() if line.strip())
    return tuple(dict.fromkeys(push for push in found if push is not None))


def _parse_push(line: str) -> Push | None:
    parts = line.split(" ")
    if len(parts) != 4 or not _SHA.fullmatch(parts[1]) or not _SHA.fullmatch(parts[3]):
        raise InputError("not a line that Git gives to a pre-push hook")
    return make_push(parts[1], parts[2])


def make_push(commit: str, remote_ref: str) -> Push | None:
    """Return the push of a branch; None for a deleted one, a tag or another ref."""
    if not commit.strip("0") or not remote_ref.startswith(_BRANCHES):
        return None
    return Push(commit=commit, branch=remote_ref.removeprefix(_BRANCHES))


def read_pushes(environ: Mapping[str, str], stdin: str) -> tuple[Push, ...]:
    """Return what is pushed, from pre-commit's variables or else from Git's own lines."""
    commit = environ.get("PRE_COMMIT_TO_REF", "")
    if not commit:
        return parse_pushes(stdin)
    push = make_push(commit, environ.get("PRE_COMMIT_REMOTE_BRANCH", ""))
    return (push,) if push else ()


def forecast(workspace: Workspace, base: Base) -> Forecast:
    """Plan from Git alone, then ask the remote for the data of every changed pointer.

    A remote that does not answer is no finding: the forecast says that it was not asked.
    """
    plan = plan_changes(workspace, base, check_remote=False)
    if plan.refusals:
        return Forecast(plan=plan, missing=(), unasked="what is refused never reaches DVC")
    try:
        return Forecast(plan=plan, missing=tuple(_find_missing(workspace, plan)))
    except OutsideError as error:
        return Forecast(plan=plan, missing=(), unasked=str(error))


def _find_missing(workspace: Workspace, plan: Plan) -> Iterator[Refusal]:
    pointers = tuple(_read_pointers(workspace, plan))
    if not pointers:
        return
    from gitops.adapters import dvc

    remote = workspace.remote
    absent = dvc.find_missing(remote, pointers, cache=workspace.cache, timeout=REMOTE_SECONDS)
    counts = Counter(missing.pointer.path for missing in absent)
    for path, count in counts.items():
        objects = "object is" if count == 1 else "objects are"
        yield Refusal(
            where=path,
            what=f"{count} data {objects} not on the remote {remote.name!r}",
            hint=f"dvc push -r {remote.name} {shlex.quote(path)}",
        )


def _read_pointers(workspace: Workspace, plan: Plan) -> Iterator[Pointer]:
    """Read every pointer that was added or changed; none of them is refused."""
    kept = [change.path for change in plan.changes if change.status is not Status.DELETED]
    paths = [path for path in kept if path.endswith(".dvc") or PurePosixPath(path).name == _LOCK]
    contents = workspace.repository.read_files(plan.head, paths, limit=LOCK_BYTES) if paths else {}
    for path, content in contents.items():
        if path.endswith(".dvc"):
            yield parse_pointer(content, path)
        else:
            yield from parse_lock(content, path)
