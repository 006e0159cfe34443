"""What a person should see while work goes on comes in; lines on standard error go out.

Standard output belongs to results. Inside GitLab CI steps fold into sections.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_COLOURS = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def has_colour(stream: object = None) -> bool:
    """Tell whether colour suits the stream: a terminal, or GitLab's job log, unless NO_COLOR is set."""
    if os.environ.get("NO_COLOR"):
        return False
    stream = sys.stderr if stream is None else stream
    return bool(os.environ.get("GITLAB_CI")) or bool(getattr(stream, "isatty", bool)())


def paint(text: str, colour: str, *, on: bool | None = None) -> str:
    """Return the text in a colour where colour suits, else the text itself."""
    if not (has_colour() if on is None else on):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def say(text: str = "") -> None:
    """Print one line for people."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Print one line that a person should not miss."""
    say(paint("warning: ", "yellow") + text)


def note(name: str, action: str, reason: str) -> None:
    """Print why a step runs, is reused or is skipped."""
    say(f"  {name:<11} {paint(f'{action:<7}', _ACTION_COLOURS.get(action, 'dim'))} {reason}")


_ACTION_COLOURS = {"run": "cyan", "reuse": "green", "skip": "dim", "refuse": "red"}


class Timer:
    """Seconds since a step began; read `seconds` at any time."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the seconds passed, to the millisecond."""
        return round(time.monotonic() - self._start, 3)


@contextmanager
def section(name: str, title: str) -> Iterator[Timer]:
    """Print a title, fold what follows into a section in GitLab's job log, and time it."""
    timer = Timer()
    marker = f"gitops_{name}"
    in_gitlab = bool(os.environ.get("GITLAB_CI"))
    opening = f"\x1b[0Ksection_start:{int(time.time())}:{marker}\r\x1b[0K" if in_gitlab else ""
    say(opening + paint(title, "bold"))
    try:
        yield timer
    finally:
        if in_gitlab:
            say(f"\x1b[0Ksection_end:{int(time.time())}:{marker}\r\x1b[0K")
