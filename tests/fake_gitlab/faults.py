"""What goes wrong, with which requests, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    BUSY = "busy"  # 429, with Retry-After
    BROKEN = "broken"  # 503
    PAGE = "page"  # 200 with HTML
    HANG = "hang"  # never answers
    REDIRECT = "redirect"  # sends on to `location`
    LOST = "lost"  # does it, then drops the connection
    DROP = "drop"  # drops the connection without doing it
    THEN = "then"  # answers, then calls `action`
    MOVED = "moved"  # answers, then the merge request's head becomes `sha`
    CONFLICT = "conflict"  # 409
    ECHO = "echo"  # 400, quoting the request's headers back


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong `times` times with requests such as `POST /projects/1/uploads`."""

    kind: FaultKind
    match: str = ""
    times: int = 1
    retry_after: int | None = None
    location: str = ""
    status: int = 307
    sha: str = ""
    action: Callable[[], object] = bool

    def takes(self, request: str) -> bool:
        if self.times <= 0 or not re.search(self.match, request):
            return False
        self.times -= 1
        return True
