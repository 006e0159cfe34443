"""An answer of the API server comes in; what it means for a rollout goes out.

InputError    the cluster refuses the object as it is, or has no such kind
OutsideError  no permission, or no usable answer
UnclearError  the same, but asking again may help: the request may have been carried out
TakenError    another manager has set a field of ours to something else
"""

from __future__ import annotations

from typing import Any

from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.plan import show
from gitops.strict_json import parse_object

_LIMIT = 1 << 20
_DENIED = "denied the request"
_TAKEN = "Apply failed with"
_UNAUTHORIZED, _FORBIDDEN, _CONFLICT, _TOO_MANY, _BROKEN = 401, 403, 409, 429, 500


class UnclearError(OutsideError):
    """No usable answer; the request may or may not have been carried out."""


class TakenError(RefusedError):
    """Another manager has set a field of ours to something else."""


def explain_status(status: int, body: bytes, *, verb: str, resource: str) -> GitopsError:
    """Return the error that an answer of the API server means; `resource` says what was asked for."""
    said = _read_message(body)
    what = f"the cluster said {status} to {verb} {resource}" + (f": {said}" if said else "")
    if status == _CONFLICT and said.startswith(_TAKEN):
        return TakenError(said)
    if status in (_CONFLICT, _TOO_MANY) or status >= _BROKEN:
        return UnclearError(what, hint="run it again; it goes on where it stopped")
    if status == _UNAUTHORIZED:
        return OutsideError(what, hint="renew the credentials: KUBECONFIG, or the service account")
    if status == _FORBIDDEN and _DENIED not in said:
        return OutsideError(what, hint=f"give whoever runs this the verb {verb} on {resource}")
    hint = "see what gitops.yaml asks for under `rollout` and `serve`, and KServe's version"
    return InputError(what, hint=hint)


def _read_message(body: bytes) -> str:
    try:
        status: dict[str, Any] = parse_object(body, limit=_LIMIT)
    except ValueError:
        return ""
    message = status.get("message")
    return show(message[:400]) if isinstance(message, str) else ""
