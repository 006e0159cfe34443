"""An endpoint comes in; that the right one answers there, and what a share of the traffic meets, goes out.

A gateway may need a moment to follow what the cluster's status already says: only what is still
wrong after that is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, TypeVar

from gitops.adapters.kserve import (
    ClusterService,
    Endpoint,
    Patience,
    ask_identity,
    take_sample,
)
from gitops.engines import TrafficCheck
from gitops.errors import GitopsError, OutsideError, RefusedError
from gitops.plan import show
from gitops.rollout import ServedIdentity, TrafficStep
from gitops.traffic import Sides, SplitError, judge_traffic, needs_more

# Answers in a row that have to agree on who serves once all the traffic is said to go there.
CONFIRMED = 5
_T = TypeVar("_T")


def within_lag(patience: Patience, work: Callable[[], _T], *kinds: type[GitopsError]) -> _T:
    """Do something, and again while it fails in one of these ways and a gateway may still follow."""
    deadline = time.monotonic() + patience.lag
    while True:
        try:
            return work()
        except kinds:
            if time.monotonic() > deadline:
                raise
        time.sleep(patience.poll)


def await_identity(
    service: ClusterService, endpoint: Endpoint, identity: ServedIdentity, times: int = 1
) -> None:
    """Have an endpoint say, some times in a row, that it is this model.

    Raises:
        RefusedError: it says that it is another one.
        OutsideError: it does not answer.
    """

    def ask() -> None:
        for _ in range(times):
            told = ask_identity(endpoint, service.name)
            if told != identity:
                raise RefusedError(f"the new one says that it is {describe(told)}")

    within_lag(service.patience, ask, RefusedError, OutsideError)


def describe(told: ServedIdentity) -> str:
    """Return what somebody says to be, fit for an error message."""
    return show(
        f"{told.model[:40]} {told.version[:40] or '?'} of commit {told.commit[:12] or '?'} and "
        f"{told.bundle[:19] or 'no bundle'}"
    )


def measure_share(
    service: ClusterService,
    endpoint: Endpoint,
    *,
    sides: Sides,
    percent: int,
    check: TrafficCheck,
    rows: Sequence[dict[str, Any]],
    baseline: float | None,
) -> TrafficStep:
    """Send requests, predictions of these rows if there are any, and judge the answers.

    Raises RefusedError as `judge_traffic` does.
    """

    def measure() -> TrafficStep:
        given: list[dict[str, Any] | None] = [*rows] if rows else [None]
        each = cycle(given)
        samples = [take_sample(endpoint, service.name, next(each))]
        while needs_more(samples, sides, percent, check):
            samples.append(take_sample(endpoint, service.name, next(each)))
        return judge_traffic(samples, sides=sides, percent=percent, check=check, baseline=baseline)

    return within_lag(service.patience, measure, SplitError)
