"""A request that claims to be GitLab's comes in; which merge request to look at goes out, or why not.

The body is a hint and nothing more: what is true is read from GitLab afterwards.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gitops.errors import InputError

BODY_LIMIT = 1 << 20
TOLERANCE_SECONDS = 300.0
SHORTEST_SECRET = 16

_PREFIX = "whsec_"
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ID_HEADERS = ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")
_HEADERS = frozenset({"x-gitlab-token", "webhook-timestamp", "webhook-signature", *_ID_HEADERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What a sender must prove to know; an empty one is not asked for, but one there must be."""

    token: bytes = field(repr=False)
    signing_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request: the headers that matter here, in lower case, and the bytes of its body."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Return what GitLab calls this delivery, the same when it sends it again; or nothing."""
        name = next((self.headers[name] for name in _ID_HEADERS if name in self.headers), "")
        return name if _ID.fullmatch(name) else ""

    def read(self, name: str) -> bytes:
        """Return a header as the bytes that were sent; a character that none stands for is lost."""
        return self.headers.get(name, "").encode("latin-1", "replace")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hint:
    """A merge request that something may have happened to: id of its project, number in it."""

    project: int
    iid: int


class Novelty(StrEnum):
    """Whether a delivery came before; `full` means that this cannot be told."""

    NEW = "new"
    SEEN = "seen"
    FULL = "full"


def make_secrets(*, token: str, signing_token: str) -> Secrets:
    """Return the secrets of a hook: its secret token, its signing token, or both.

    Raises:
        InputError: neither is given, one is too short to keep anybody out, or the signing token is
            not base64 after `whsec_`.
    """
    if not token and not signing_token:
        raise InputError(
            "a webhook without a secret would obey anybody",
            hint="set GITOPS_WEBHOOK_TOKEN or GITOPS_WEBHOOK_SIGNING_TOKEN",
        )
    secrets = Secrets(token=token.encode(), signing_key=_parse_key(signing_token))
    for secret in (secrets.token, secrets.signing_key):
        if secret and len(secret) < SHORTEST_SECRET:
            raise InputError(
                f"a webhook secret is shorter than {SHORTEST_SECRET} bytes",
                hint="make one: openssl rand -hex 32",
            )
    return secrets


def _parse_key(signing_token: str) -> bytes:
    encoded = signing_token.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if signing_token and not key:
        raise InputError("the signing token is not `whsec_` and base64, as GitLab shows it")
    return key


def make_delivery(headers: Iterable[tuple[str, str]], body: bytes) -> Delivery:
    """Keep the headers that matter; raise InputError when one of them is there twice."""
    kept: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in kept:
            raise InputError(f"the header {key} is given twice")
        if key in _HEADERS:
            kept[key] = value
    return Delivery(headers=kept, body=body)


def verify(delivery: Delivery, secrets: Secrets, now: float) -> None:
    """Raise InputError unless the sender knows every secret that is configured.

    Every, not any: whoever learnt the plain token cannot leave the signature out.

    Args:
        delivery: the request.
        secrets: made by `make_secrets`.
        now: seconds since 1970; a signature is good for five minutes to either side.
    """
    if not secrets.token and not secrets.signing_key:
        raise InputError("no secret is configured")
    if secrets.token and not hmac.compare_digest(delivery.read("x-gitlab-token"), secrets.token):
        raise InputError("X-Gitlab-Token is missing or wrong")
    if secrets.signing_key:
        _verify_signature(delivery, secrets.signing_key, now)


def _verify_signature(delivery: Delivery, key: bytes, now: float) -> None:
    headers = delivery.headers
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(name) or not _TIMESTAMP.fullmatch(stamp):
        raise InputError("webhook-id or webhook-timestamp is missing or malformed")
    expected = sign(key, name, stamp, delivery.body)
    # A key that is being replaced signs beside its successor: any one of the list will do.
    given = delivery.read("webhook-signature").split()
    if not sum(hmac.compare_digest(one, expected) for one in given):
        raise InputError("webhook-signature is missing or wrong")
    if not abs(now - int(stamp)) <= TOLERANCE_SECONDS:
        raise InputError("webhook-timestamp is more than five minutes away from the clock here")


def sign(key: bytes, name: str, stamp: str, body: bytes) -> bytes:
    """Return the signature of a delivery as it stands in its header."""
    digest = hmac.digest(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256)
    return b"v1," + base64.b64encode(digest)


def parse_hint(body: bytes) -> Hint | None:
    """Return the merge request that an event is about, None for any other kind of event.

    Raises:
        InputError: it is not JSON, or an event about a merge request that names none.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON") from error
    if not isinstance(event, dict) or event.get("object_kind") != "merge_request":
        return None
    project = _read_number(event.get("project"), "id")
    iid = _read_number(event.get("object_attributes"), "iid")
    return Hint(project=project, iid=iid)


def _read_number(part: Any, key: str) -> int:
    value = part.get(key) if isinstance(part, dict) else None
    if type(value) is not int or not 0 < value < 1 << 53:
        raise InputError("the event names no merge request")
    return value


class Memory:
    """The deliveries of the last minutes, at most `capacity` of them.

    Nothing is forgotten while its signature could be sent again: a full memory says so instead.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._until: OrderedDict[str, float] = OrderedDict()

    def look(self, name: str, now: float) -> Novelty:
        """Tell whether a delivery came before; one without a name is always new."""
        self._forget(now)
        if not name:
            return Novelty.NEW
        if name in self._until:
            return Novelty.SEEN
        return Novelty.FULL if len(self._until) >= self._capacity else Novelty.NEW

    def keep(self, name: str, now: float) -> None:
        """Remember a delivery for as long as its signature can be good: from one end to the other."""
        if name:
            self._until[name] = now + 2 * TOLERANCE_SECONDS

    def _forget(self, now: float) -> None:
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a pipeline is started for a merge request, and why."""

    start: bool
    reason: str


def decide(*, is_open: bool, head: str, judged: Collection[str]) -> Decision:
    """Decide from what GitLab says now.

    Args:
        is_open: whether the merge request is open.
        head: commit at its tip, empty when it has none.
        judged: commits that already have a pipeline of ours.
    """
    if not is_open:
        return Decision(start=False, reason="it is not open")
    if not head:
        return Decision(start=False, reason="it has no commit")
    if head in judged:
        return Decision(start=False, reason=f"{head[:10]} has its pipeline already")
    return Decision(start=True, reason=f"{head[:10]} has no pipeline yet")
