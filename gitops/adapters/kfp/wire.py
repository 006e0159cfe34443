"""A request of the generated client comes in; one bounded HTTP exchange; its status and bytes go out.

The generated client's own transport has no timeouts, repeats on its own, follows redirects with the
token, and takes a page of HTML for an empty answer. This one does none of that.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gitops.adapters.kfp.connection import (
    AnswerError,
    Connection,
    UnclearError,
    UnknownTokenError,
    check_token,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIMIT = 64 << 20
_CHUNK = 1 << 16
_SIGN_IN = "the token may have expired, or run.host is not the address of the API: gitops doctor"
_NOBODY = "no token was sent: set GITOPS_KFP_TOKEN, or GITOPS_KFP_TOKEN_FILE to a file with one"
_HINTS = {
    401: _SIGN_IN,
    403: "the token's account may not do this in this namespace: gitops doctor",
    404: "look at run.host and run.namespace in gitops.yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer with a status of 200 to 299."""

    status: int
    body: bytes

    def getheader(self, name: str, default: str = "") -> str:
        """Return the default: the generated client asks, and uses it only for bodies it parses."""
        del name
        return default


class Wire:
    """Carries requests to one server, and to no other. Not for two threads at once."""

    def __init__(self, connection: Connection) -> None:
        import ssl

        import urllib3

        self._connection = connection
        self._pool = urllib3.PoolManager(
            num_pools=1,
            retries=False,
            ssl_context=ssl.create_default_context(),
            timeout=urllib3.Timeout(connect=connection.timeout, read=connection.timeout),
        )

    def close(self) -> None:
        """Close what is still open."""
        self._pool.clear()

    def request(
        self,
        method: str,
        url: str,
        query_params: Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        post_params: Sequence[tuple[str, Any]] | None = None,
        body: object = None,
        **_: object,
    ) -> Answer:
        """Exchange one request, with the token of this moment, and once more with a newer one.

        Raises:
            UnclearError: it may have been carried out or not.
            UnknownTokenError: the server wants another token.
            AnswerError: the server said no.
        """
        address = url + ("?" + urlencode(query_params) if query_params else "")
        content, kind = _encode(body, post_params)
        sent = {**(headers or {}), **({"Content-Type": kind} if kind else {})}
        sent.pop("authorization", None)
        token = check_token(self._connection.read_token())
        try:
            return self._exchange(method, address, sent, content, token)
        except UnknownTokenError:
            newer = check_token(self._connection.read_token())
            if newer == token:
                raise
        return self._exchange(method, address, sent, content, newer)

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, token: str
    ) -> Answer:
        import urllib3

        held = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=content,
                headers={**headers, **held},
                redirect=False,
                preload_content=False,
            )
            with response:
                body = self._read(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            said = redact(str(error), token)[:300]
            raise UnclearError(
                f"no answer from Kubeflow: {said}", where=self._connection.host
            ) from None
        if 200 <= response.status <= 299:
            return Answer(status=response.status, body=body)
        raise self._make_error(response.status, response.headers, body, token)

    def _read(self, response: Any) -> bytes:
        """Read a body of bounded size in bounded time."""
        patience = time.monotonic() + 4 * self._connection.timeout
        body = bytearray()
        for chunk in response.stream(_CHUNK):
            body += chunk
            if len(body) > LIMIT:
                raise OSError(f"the answer is larger than {LIMIT:,} bytes")
            if time.monotonic() > patience:
                raise OSError("the answer takes too long")
        return bytes(body)

    def _make_error(
        self, status: int, headers: Mapping[str, str], body: bytes, token: str
    ) -> Exception:
        said = redact(_find_message(body), token)[:300]
        where = self._connection.host
        if status >= 500 or status in (408, 425, 429):
            unclear = UnclearError(f"Kubeflow answered {status}: {said}", where=where)
            unclear.retry_after = _parse_seconds(headers.get("Retry-After", ""))
            return unclear
        if 300 <= status <= 399:
            place = redact(headers.get("Location", "nowhere"), token)[:200]
            what = f"the server sends requests on to {place}; the token does not go there"
            hint = _SIGN_IN if token else _NOBODY
            return _numbered(UnknownTokenError(what, where=where, hint=hint), status)
        kind = UnknownTokenError if status == 401 else AnswerError
        what = f"Kubeflow answered {status}: {said}"
        # Some servers say 403 to nobody in particular.
        is_nobody = not token and status in (401, 403)
        hint = _NOBODY if is_nobody else _HINTS.get(status, "")
        return _numbered(kind(what, where=where, hint=hint), status)


def _numbered(error: AnswerError, status: int) -> AnswerError:
    error.status = status
    return error


def _encode(
    body: object, post_params: Sequence[tuple[str, Any]] | None
) -> tuple[bytes | None, str]:
    if post_params:
        from urllib3.filepost import encode_multipart_formdata

        return encode_multipart_formdata(list(post_params))
    if body is None:
        return None, ""
    return json.dumps(body).encode(), "application/json"


def _find_message(body: bytes) -> str:
    """Return the sentence in an error's body, the body's beginning where there is none."""
    text = body[:4000].decode("utf-8", "replace")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict):
        return text
    return str(found.get("message") or found.get("error_message") or found.get("error") or text)


def _parse_seconds(text: str) -> float | None:
    """Read a Retry-After; a date counts as nothing said, for it would need this machine's clock."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
