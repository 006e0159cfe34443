"""A report comes in; the text of the one note that carries it, safe to post, goes out.

The first line is a hidden marker: by it the next pipeline finds the note again, knows whether it is
newer, and updates it in place.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from gitops.errors import InputError, RefusedError
from gitops.report.escape import has_command

LONGEST = 1_000_000
_SCOPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@/-]{0,99}")
# GitLab drops some control characters before it looks for commands; a lone surrogate is no text.
_UNFIT = {"Cc", "Cs"}
_MARKER = re.compile(
    r"<!-- gitops:note scope=(?P<scope>\S+) order=(?P<order>\d{1,18}) body=(?P<body>[0-9a-f]{16}) -->"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Which note of a merge request this is, and how new its content.

    Attributes:
        scope: what the note is about, such as a model's name; one note for each.
        order: grows with every pipeline, such as its id; older content never replaces newer.
        body: digest of the content, so that two versions of one order can be told apart.
    """

    scope: str
    order: int = 0
    body: str = ""

    def __post_init__(self) -> None:
        """Refuse what would not survive in an HTML comment."""
        if not _SCOPE.fullmatch(self.scope) or self.order < 0:
            raise InputError(
                f"{self.scope!r} (order {self.order}) cannot name a note",
                hint="use letters, digits and . _ - / @, at most 100 of them",
            )


def render_note(marker: Marker, body: str) -> str:
    """Return what to post.

    Raises:
        RefusedError: GitLab would act on a line of it, hide part of it, or not take it.
    """
    check_note(body)
    text = f"<!-- gitops:note scope={marker.scope} order={marker.order} body={_digest(body)} -->\n\n{body}"
    if len(text) > LONGEST:
        raise RefusedError(
            f"the note has {len(text):,} characters; GitLab takes {LONGEST:,}",
            where=marker.scope,
            hint="the whole report is in the job's artifacts",
        )
    return text


def make_marker(text: str) -> Marker | None:
    """Return the marker on the first line of a posted note, or None; data further down is no marker."""
    match = _MARKER.match(text)
    if not match or not _SCOPE.fullmatch(match["scope"]):
        return None
    return Marker(scope=match["scope"], order=int(match["order"]), body=match["body"])


def check_note(body: str) -> None:
    """Refuse a body that the account which posts it would carry out as a command.

    The renderer escapes what it quotes; this is the guard behind it. Control characters are refused
    too, because they could hide a command.

    Raises:
        RefusedError: there is such a line or character.
    """
    if any(char != "\n" and unicodedata.category(char) in _UNFIT for char in body):
        raise RefusedError("the note has a control character", hint="this is a bug of the report")
    if has_command(body):
        raise RefusedError(
            "the note has a line that would run as a command", hint="this is a bug of the report"
        )


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()[:16]
