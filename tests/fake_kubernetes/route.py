"""What a reconciliation came to: the status to write, and where requests go."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.status import Target

_NEVER_COPIED = ("kubectl.kubernetes.io/last-applied-configuration",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A reconciled service.

    Attributes:
        targets: shares of the public traffic.
        hosts: what each name is answered by, the public one among them.
    """

    status: Body
    targets: list[Target]
    hosts: dict[str, list[Target]]


def make_template(service: Body, predictor: Body, *, without: tuple[str, ...]) -> dict[str, Any]:
    """Return all that, changed, makes KServe ask for new pods: annotations and labels are part of it."""
    meta = service["metadata"]
    annotations = meta.get("annotations") or {}
    return {
        "predictor": {
            key: copy.deepcopy(value) for key, value in predictor.items() if key not in without
        },
        "annotations": {k: v for k, v in annotations.items() if k not in _NEVER_COPIED},
        "labels": dict(meta.get("labels") or {}),
    }
