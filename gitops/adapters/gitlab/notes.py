"""A report for a merge request comes in; exactly one note that carries the newest one goes out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.parsing import RawNote, parse_note
from gitops.adapters.gitlab.review import read_merge_request
from gitops.adapters.gitlab.trouble import AnswerError, ConflictError, UnclearError
from gitops.errors import OutsideError
from gitops.note import Marker, make_marker, render_note

if TYPE_CHECKING:
    from gitops.adapters.gitlab.connection import Connection

ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedNote:
    """A note that is there."""

    id: int
    marker: Marker
    text: str


def upsert_note(
    connection: Connection,
    project: int | str,
    iid: int,
    marker: Marker,
    body: str,
    *,
    sha: str = "",
) -> PostedNote:
    """Make `body` the one note of its scope, unless a newer one is there already.

    Whoever writes looks again a moment later: two jobs that both found no note, or wrote over each
    other, end with the oldest note and the newest content. `sha` is the commit that the body speaks
    of, when the note should only be written as long as that is the head.

    Raises:
        RefusedError: the body could act as a command (see `gitops.note`), or the head has moved.
        OutsideError: GitLab does not answer, or the note does not come to rest.
    """
    text = render_note(marker, body)
    if sha:
        check_head(connection, project, iid, sha)
    desk = _Desk(
        connection=connection,
        path=make_path("projects", project, "merge_requests", iid, "notes"),
        mine=PostedNote(id=0, marker=make_marker(text) or marker, text=text),
    )
    return _settle(desk)


def check_head(connection: Connection, project: int | str, iid: int, sha: str) -> None:
    """Refuse to go on when `sha` is no longer the head of the merge request.

    Raises:
        ConflictError: somebody pushed since.
    """
    found = read_merge_request(connection, project, iid).sha
    if found != sha:
        raise ConflictError(
            f"the merge request moved from {sha[:12]} to {found[:12]}",
            where=f"!{iid}",
            hint="nothing was written; the pipeline of the new commit will",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where one job writes its note."""

    connection: Connection
    path: str
    mine: PostedNote

    def read(self) -> list[PostedNote]:
        """Return our own notes of this scope, oldest first; other people's look-alikes are not ours."""
        pages = self.connection.pages(self.path, sort="asc", order_by="created_at")
        everybodys = (parse_note(raw) for raw in pages)
        own = (_make_note(note) for note in everybodys if note.author == self.connection.own_id)
        found = [note for note in own if note and note.marker.scope == self.mine.marker.scope]
        return sorted(found, key=lambda note: note.id)

    def write(self, notes: list[PostedNote], best: PostedNote) -> None:
        """Bring the oldest note up to date and delete the others, or write the first one."""
        if not notes:
            self.connection.post_once(self.path, {"body": best.text})
            return
        keeper, *younger = notes
        if keeper.marker != best.marker or best is self.mine:
            self.connection.put(f"{self.path}/{keeper.id}", {"body": best.text})
        for note in younger:
            self.connection.delete(f"{self.path}/{note.id}")


def _settle(desk: _Desk) -> PostedNote:
    attempt, wrote = 0, False
    for _ in range(ROUNDS):
        notes = desk.read()
        best = _choose(notes, desk.mine, wrote=wrote)
        if len(notes) == 1 and best is notes[0]:
            return best
        try:
            desk.write(notes, best)
            wrote = wrote or best is desk.mine
            time.sleep(desk.connection.limits.settle_seconds)
        except UnclearError as error:
            if notes:
                raise  # a PUT or DELETE was repeated already
            attempt += 1
            desk.connection.wait(error, attempt)
        except AnswerError as error:
            if error.status != 404 or not notes:
                raise  # else somebody deleted the note meanwhile: look again
    raise OutsideError(
        "other jobs keep writing this note", where=desk.path, hint="run it again when they are done"
    )


def _choose(notes: list[PostedNote], mine: PostedNote, *, wrote: bool) -> PostedNote:
    """Return what the note should say: what is newest; among equals what is written last.

    Once ours has been written, an equal that stands in its place came later and stays.
    """
    best = max(notes, key=lambda note: note.marker.order, default=mine)
    ahead = best.marker.order - mine.marker.order
    return best if ahead > 0 or (wrote and ahead == 0) else mine


def _make_note(raw: RawNote) -> PostedNote | None:
    marker = None if raw.is_system else make_marker(raw.text)
    return PostedNote(id=raw.id, marker=marker, text=raw.text) if marker else None
