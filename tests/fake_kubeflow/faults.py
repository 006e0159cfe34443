"""What goes wrong, with which requests, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    BROKEN = "broken"  # 503
    BUSY = "busy"  # 429, with Retry-After
    LOST = "lost"  # does it, then drops the connection
    BROKEN_AFTER = "broken_after"  # does it, then answers 502
    DROP = "drop"  # drops the connection without doing it
    HANG = "hang"  # never answers
    PAGE = "page"  # 200 with HTML
    REDIRECT = "redirect"  # sends on to `location`
    UNKNOWN_TOKEN = "unknown_token"  # 401
    ECHO = "echo"  # 400, quoting the request's headers back
    ALTERED = "altered"  # answers, after `alter` changed the answer
    HIDDEN = "hidden"  # an empty list: what was created is not shown yet


@dataclass(kw_only=True)
class Fault:
    """One thing that goes wrong `times` times with requests such as `POST /runs`."""

    kind: FaultKind
    match: str = ""
    times: int = 1
    retry_after: str = ""
    location: str = ""
    alter: Callable[[dict[str, object]], object] = bool

    def takes(self, request: str) -> bool:
        if self.times <= 0 or not re.search(self.match, request):
            return False
        self.times -= 1
        return True
