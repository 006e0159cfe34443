"""A request comes in; work that changes production goes on only where reviewed code asks for it."""

from __future__ import annotations

from gitops.config import Zone
from gitops.errors import RefusedError
from gitops.flow.workspace import Request

_REVIEWED = (Zone.LOCAL, Zone.PROTECTED)


def require_reviewed(request: Request) -> None:
    """Refuse to change production from a merge request or an unprotected ref.

    A template's rules say the same, but whoever opens a merge request can edit those.

    Raises:
        RefusedError: this is a CI job, and not one of a protected ref outside a merge request.
    """
    if request.zone not in _REVIEWED:
        raise RefusedError(
            "production changes on a protected branch only, never in a merge request pipeline",
            hint="merge first, and protect the target branch",
        )
