"""How long to wait and how a request can fail: by a clear no, by a conflict, or with nobody knowing.

InputError   AnswerError    GitLab said no, with a status: asking again will not help
RefusedError ConflictError  what was written for is no longer what is there
OutsideError UnclearError   no answer that can be used; the request may have been carried out
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from gitops.errors import InputError, OutsideError, RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient a connection is.

    Attributes:
        connect_seconds: for a connection to stand.
        read_seconds: of silence from the server.
        attempts: for a request that may be repeated, the first included.
        first_wait: in seconds, between the first two attempts; doubles with each further one.
        longest_wait: in seconds; a server that asks for more is left alone.
        settle_seconds: after writing a note, before looking whether somebody else wrote too.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0
    settle_seconds: float = 1.0


class AnswerError(InputError):
    """GitLab refused a request; `status` is the HTTP status."""

    def __init__(self, what: str, *, status: int, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class ConflictError(RefusedError):
    """What a write was meant for has changed since it was read."""


class UnclearError(OutsideError):
    """No usable answer: the server is busy or broken, or the reply was lost.

    Attributes:
        is_undone: the server said that it did not carry the request out.
        retry_after: seconds that the server asks for, if it asks.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        is_undone: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, where=where, hint="run it again; it goes on where it stopped")
        self.is_undone = is_undone
        self.retry_after = retry_after


def wait_after(error: UnclearError, attempt: int, limits: Limits) -> None:
    """Wait before attempt number `attempt` + 1, as long as the server asks or a little longer each time.

    Raises:
        UnclearError: the same, when no attempt is left or the server asks for more than the limit.
    """
    if attempt >= limits.attempts or (error.retry_after or 0) > limits.longest_wait:
        raise error
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    backoff = min(limits.first_wait * 2 ** (attempt - 1), limits.longest_wait) * jitter
    time.sleep(backoff if error.retry_after is None else error.retry_after + 0.1 * jitter)
