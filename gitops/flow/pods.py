"""The request of a pipeline step comes in; the step's work is done in a workspace, and its documents are kept.

On one machine steps share the caller's checkout. In pods they share nothing but the store: each
makes a checkout of its own, and leaves its documents, or its error, in the store under the run's name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from gitops import log
from gitops.adapters import documents
from gitops.adapters.git.checkout import create_checkout
from gitops.digest import make_digest
from gitops.errors import (
    GitopsError,
    InputError,
    OutsideError,
    RefusedError,
    UndecidedError,
)
from gitops.flow.credentials import make_git_environ
from gitops.flow.workspace import Request, Workspace, request_from_json
from gitops.plan import show

T = TypeVar("T")
_KIND = "documents"
_ERROR = "error.json"
_DONE, _FAILED = "done", "failed"
# What a step may leave for the next one and for the job that waits; nothing else is taken over.
_KEPT = (
    *("run.json", "verdict.json", "release.json", "rollout.json"),
    *("junit.xml", "metrics.txt", "report.md", "report.html"),
)
_ERRORS: dict[int, type[GitopsError]] = {
    int(kind.exit_code): kind for kind in (RefusedError, InputError, OutsideError, UndecidedError)
}


def run_step(
    body: Mapping[str, Any],
    step: str,
    work: Callable[[Workspace], T],
    *,
    after: tuple[str, ...] = (),
) -> T:
    """Do a step's work; its documents, or its error, are where the caller and later steps find them.

    Args:
        body: the request as the pipeline carries it.
        step: name of the step.
        work: what it does.
        after: steps whose documents this one reads.
    """
    with _open(request_from_json(body)) as workspace:
        try:
            for earlier in after:
                _need_documents(workspace, earlier)
            result = work(workspace)
        except GitopsError as error:
            _write_error(workspace, error)
            _keep_error(workspace, step)
            raise
        _keep_documents(workspace, step, _DONE, _KEPT)
    return result


@contextmanager
def _open(request: Request) -> Iterator[Workspace]:
    if not request.origin:
        yield Workspace(request)
        return
    with tempfile.TemporaryDirectory(prefix="gitops-step-") as folder:
        yield _check_out(request, Path(folder))


def _check_out(request: Request, folder: Path) -> Workspace:
    """Fetch the request's commits into a folder; a request without a head means the branch's tip."""
    # This process is the step's own, and everything in it that starts git speaks to this origin.
    os.environ.update(make_git_environ(os.environ, request.origin))
    commits = [commit for commit in (request.head, request.target) if commit]
    repository = create_checkout(folder, request.origin, commits)
    if not commits:
        tip = repository.read_commit(f"refs/remotes/origin/{request.target_branch}")
        request = replace(request, head=tip, target=tip)
    return Workspace(replace(request, repository=str(folder)), repository)


def _write_error(workspace: Workspace, error: GitopsError) -> None:
    said = {name: getattr(error, name) for name in ("what", "where", "hint")}
    body = {"exit_code": int(error.exit_code), **said}
    documents.write_document(_error_file(workspace), "error", body)


def _error_file(workspace: Workspace) -> Path:
    return workspace.document(workspace.request.model, _ERROR)


def forget_error(workspace: Workspace) -> None:
    """Remove the error that an earlier run left."""
    _error_file(workspace).unlink(missing_ok=True)


def raise_kept_error(workspace: Workspace) -> None:
    """Raise the error that a step left here, if one did: a pipeline knows only that a step failed."""
    place = _error_file(workspace)
    if place.exists():
        body = documents.read_document(place, "error")
        kind = _ERRORS[body.pop("exit_code")]
        # A step of a merge request may have written anything.
        raise kind(
            **{key: "\n".join(map(show, str(text).splitlines())) for key, text in body.items()}
        )


def _keep_documents(workspace: Workspace, step: str, outcome: str, names: tuple[str, ...]) -> None:
    """Put documents into the store under the run's name; nothing to do where folders are shared."""
    if not workspace.request.run:
        return

    def fill(fresh: Path) -> None:
        for name in names:
            place = workspace.document(workspace.request.model, name)
            if place.is_file():
                shutil.copyfile(place, fresh / name)

    workspace.store.write_folder(_KIND, _key(workspace.request.run, step, outcome), fill)


def _keep_error(workspace: Workspace, step: str) -> None:
    """Keep why a step failed, as far as the store takes it: the reason itself is worth more."""
    try:
        _keep_documents(workspace, step, _FAILED, (_ERROR,))
    except GitopsError as error:
        log.warn(f"the error was not kept for whoever waits: {error}")


def _need_documents(workspace: Workspace, step: str) -> None:
    """Take what an earlier step kept: without it, this one would check less than it should."""
    if workspace.request.run and not take_documents(workspace, step):
        what = f"what the step {step!r} left is not in the store"
        hint = "run it again; documents in the store must outlive their run"
        raise OutsideError(what, where=workspace.settled.store, hint=hint)


def take_documents(workspace: Workspace, step: str) -> bool:
    """Copy what a step of this run kept to where documents lie; False when it kept nothing.

    The error of a step that never finished is taken as well; `raise_kept_error` raises it.
    """
    run, model = workspace.request.run, workspace.request.model
    for outcome, names in ((_DONE, _KEPT), (_FAILED, (_ERROR,))):
        key = _key(run, step, outcome)
        if run and workspace.store.has(_KIND, key):
            place = workspace.store.find(_KIND, key)
            for name in names:
                if (place / name).is_file():
                    # Whoever may write the store may have put anything there.
                    documents.write_file(
                        workspace.document(model, name), (place / name).read_bytes()
                    )
            return True
    return False


def _key(run: str, step: str, outcome: str) -> str:
    return f"{make_digest(run)}+{step}+{outcome}"
