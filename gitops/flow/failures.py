"""The error that ended a model's run comes in; a small document that says so to later jobs goes out, and back in.

In a merge request unreviewed code can write that document. So it is data: bounded, of this commit
or ignored, only shown, and never looked at where the commit has a run.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops import log
from gitops.adapters import documents
from gitops.errors import GitopsError, InputError
from gitops.plan import show

if TYPE_CHECKING:
    from gitops.flow.workspace import Workspace

FAILURE = "failure.json"
_LARGEST = 1 << 16
# Together at most 8,000 characters: what names the step, its last 25 lines, a place, a hint.
_TAIL, _WIDTH = 25, 270
_MOST = _TAIL + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the run of a model ended without a result.

    Attributes:
        commit: what was run.
        fingerprint: of its inputs.
        what: which step failed, and its last lines.
        where: the file or address concerned, or empty.
        hint: the next step, or empty.
    """

    commit: str
    fingerprint: str
    what: str
    where: str = ""
    hint: str = ""

    @property
    def told(self) -> str:
        """Return what happened and where, as errors are told."""
        return f"{self.where}: {self.what}" if self.where else self.what

    @property
    def first_line(self) -> str:
        """Return what names the step."""
        return self.told.partition("\n")[0]

    @property
    def text(self) -> str:
        """Return all that it says as plain lines."""
        return self.told + (f"\nhint: {self.hint}" if self.hint else "")


def make_failure(*, commit: str, fingerprint: str, what: str, where: str, hint: str) -> Failure:
    """Return a failure whose texts are safe to print and at most 8,000 characters long."""
    next_step = _shorten(hint, _TAIL)
    room = _MOST - 1 - len(next_step.splitlines())
    return Failure(
        commit=commit,
        fingerprint=fingerprint,
        what=_shorten(what, room),
        where=_shorten(where, 1),
        hint=next_step,
    )


def _shorten(text: str, most: int) -> str:
    """Keep the first line, which says what happened, and the last ones; no control characters."""
    lines = text.splitlines()
    kept = lines if len(lines) <= most else [*lines[:1], *lines[len(lines) - most + 1 :]]
    return "\n".join(_show_line(line) for line in kept)


def _show_line(line: str) -> str:
    # What is cut anyway need not be looked at.
    shown = show(line[: 2 * _WIDTH].expandtabs(4)).rstrip()
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"


@contextmanager
def recording_failure(workspace: Workspace, model: str, fingerprint: str) -> Iterator[None]:
    """Forget the failure of an earlier run; write down the error that ends this one, which goes on."""
    place = workspace.document(model, FAILURE)
    place.unlink(missing_ok=True)
    try:
        yield
    except GitopsError as error:
        _write_failure(workspace, place, fingerprint, error)
        raise


def _write_failure(workspace: Workspace, place: Path, fingerprint: str, error: GitopsError) -> None:
    """Write the document; a disk that takes no more must not hide why the run failed."""
    # Where a checkout lies says nothing to whoever reads it elsewhere.
    said = {
        name: str(getattr(error, name)).replace(f"{workspace.root}/", "")
        for name in ("what", "where", "hint")
    }
    failure = make_failure(commit=workspace.request.head, fingerprint=fingerprint, **said)
    try:
        documents.write_document(place, "failure", asdict(failure))
    except OSError as trouble:
        log.warn(f"{FAILURE} was not written: {trouble.strerror}")


def find_failure(workspace: Workspace, model: str) -> Failure | None:
    """Return why the run of this commit failed; None when it has a run, or nothing says so.

    Raises:
        InputError: what lies there is a link, too large, or no such document.
    """
    place = workspace.document(model, FAILURE)
    if _has_run(workspace, model) or not _is_there(place):
        return None
    body = documents.read_document(place, "failure")
    return make_failure(**body) if body["commit"] == workspace.request.head else None


def _has_run(workspace: Workspace, model: str) -> bool:
    try:
        run = documents.read_document(workspace.document(model, "run.json"), "run")
    except InputError:
        return False
    return bool(run["commit"] == workspace.request.head)


def _is_there(place: Path) -> bool:
    """Tell whether a document is there; InputError when what is there is no small plain file."""
    try:
        found = place.lstat()
    except FileNotFoundError:
        return False
    is_plain = stat.S_ISREG(found.st_mode) and not place.parent.is_symlink()
    if not is_plain or found.st_size > _LARGEST:
        raise InputError("not why a run failed: a link, or too large", where=str(place))
    return True


def raise_failure(workspace: Workspace, model: str) -> None:
    """Raise why the run of this commit failed, if it did; InputError, as running again will not help."""
    failure = find_failure(workspace, model)
    if failure:
        raise InputError(
            f"NO VERDICT for {model}: the run failed: {failure.told}", hint=failure.hint
        )
