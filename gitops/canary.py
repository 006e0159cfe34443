"""An InferenceService as the cluster holds it comes in; the next thing to do with it goes out.

Pure, and without memory of its own: whoever is killed in the middle goes on from what the cluster
says. KServe's statuses are read by what they state (revisions, shares), for `observedGeneration`
means something else in each mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any

from gitops.engines import KserveMode
from gitops.inference import ATTEMPT, STOP
from gitops.live import LiveService


class Place(StrEnum):
    """Where a predictor is in a live service."""

    ABSENT = "absent"
    CANARY = "canary"
    STABLE = "stable"


class Step(StrEnum):
    """What to do next."""

    CREATE = "create"
    START = "start"
    WAIT = "wait"
    PROVE = "prove"
    CHECK = "check"
    SHIFT = "shift"
    PROMOTE = "promote"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do next: `percent` is the share that it is about, `why` what is waited for."""

    step: Step
    percent: int = 0
    why: str = ""


def covers(live: object, wanted: object) -> bool:
    """Tell whether the cluster holds everything that is wanted; defaults that it added do not count."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(covers(live.get(k), v) for k, v in wanted.items())
    return live == wanted


def read_wanted(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the predictor of a rendered service."""
    found: Mapping[str, Any] = service["spec"]["predictor"]
    return found


def make_canary(wanted: Mapping[str, Any], percent: int) -> dict[str, Any]:
    """Return an entry of `spec.canary`.

    KServe would give a canary without traffic no pod at all, and takes its replicas from the
    stable one's, so it gets what its share needs, and one at least. It refuses to scale canaries.
    """
    replicas = max(1, ceil(wanted["minReplicas"] * percent / 100))
    kept = {key: value for key, value in wanted.items() if key != "maxReplicas"}
    return {"trafficPercent": percent, "predictor": {**kept, "minReplicas": replicas}}


def locate(live: LiveService, wanted: Mapping[str, Any]) -> tuple[Place, int]:
    """Return where the wanted predictor is in a live service, and its share of the traffic by spec."""
    if covers(live.predictor, wanted) and live.percent is None and not live.canaries:
        return Place.STABLE, 100
    if covers(live.predictor, wanted) and live.percent is not None:
        return Place.CANARY, live.percent
    for canary in live.canaries[:1]:
        entry = make_canary(wanted, canary.percent)["predictor"]
        if len(live.canaries) == 1 and covers(canary.predictor, entry):
            return Place.CANARY, canary.percent
    return Place.ABSENT, 0


def plan_next(
    live: LiveService | None,
    wanted: Mapping[str, Any],
    *,
    mode: KserveMode,
    shares: tuple[int, ...],
    proven: int | None,
    replaced: str = "",
) -> Action:
    """Say what to do next so that the wanted predictor gets all the traffic.

    Args:
        live: the service, None when there is none.
        wanted: the predictor of the rendered service.
        mode: how KServe runs it.
        shares: of the traffic, in percent, rising to 100.
        proven: largest share at which this run has checked the wanted one; 0 means that identity
            and predictions are proven, None that nothing is.
        replaced: revision that was the newest before this run changed anything: a status that still
            speaks of it is an old one.
    """
    if live is None or live.is_stopped:
        return Action(step=Step.CREATE)
    place, percent = locate(live, wanted)
    if place is Place.ABSENT:
        serves = live.rolled_out if mode is KserveMode.SERVERLESS else live.url
        return Action(step=Step.START if serves else Step.CREATE)
    missing = find_missing(live, place, percent, mode=mode, replaced=replaced)
    if missing and not replaced and is_retried(live, place, percent, mode):
        return Action(step=Step.START)
    if missing:
        return Action(step=Step.WAIT, percent=percent, why=missing)
    return _plan_settled(place, percent, shares, proven)


def _plan_settled(
    place: Place, percent: int, shares: tuple[int, ...], proven: int | None
) -> Action:
    if proven is None:
        return Action(step=Step.PROVE, percent=percent)
    if place is Place.CANARY and proven < percent:
        return Action(step=Step.CHECK, percent=percent)
    following = next((share for share in shares if share > percent), None)
    if following is not None:
        return Action(step=Step.SHIFT, percent=following)
    return Action(step=Step.DONE if place is Place.STABLE else Step.PROMOTE, percent=100)


def find_missing(
    live: LiveService, place: Place, percent: int, *, mode: KserveMode, replaced: str = ""
) -> str:
    """Return what the cluster has not done yet of what its spec says, empty when all is done."""
    if mode is KserveMode.STANDARD:
        return _find_missing_standard(live, place)
    new, has = live.created, live.share(live.created)
    if not new or new == replaced:
        return "the new revision is not there yet"
    if live.ready != new or not live.is_ready:
        return live.trouble or f"{new} is not ready"
    if has != percent:
        return f"{new} has {has} % of the traffic, not {percent}"
    if place is Place.CANARY:
        return "" if live.find_url("latest") else f"{new} has no address of its own yet"
    return "" if live.rolled_out == new else f"{new} is not rolled out yet"


def _find_missing_standard(live: LiveService, place: Place) -> str:
    if place is Place.STABLE:
        if live.stale:
            return f"{live.stale[0]} is still there"
        return "" if live.is_ready and live.url else live.trouble or "it is not ready"
    canary = live.canaries[0]
    if not canary.is_ready:
        return live.trouble or f"{canary.name} is not ready"
    if canary.routed != canary.percent:
        return f"{canary.name} has {canary.routed} % of the traffic, not {canary.percent}"
    return ""


def find_unrestored(live: LiveService, wanted: Mapping[str, Any], mode: KserveMode) -> str:
    """Return why what served before does not have all the traffic again, empty when it has."""
    if mode is KserveMode.STANDARD:
        if covers(live.predictor, wanted) or live.canaries or live.stale:
            return "the new one is still there"
        return "" if live.is_ready else live.trouble or "it is not ready"
    if not live.rolled_out or live.rolled_out == live.created:
        return "nothing else was rolled out before"
    share = live.share(live.rolled_out)
    return "" if share == 100 else f"{live.rolled_out} has {share} % of the traffic"


def is_retried(live: LiveService, place: Place, percent: int, mode: KserveMode) -> bool:
    """Tell whether a revision without traffic has failed for good: Knative never tries one again."""
    is_dark = place is Place.CANARY and percent == 0
    return mode is KserveMode.SERVERLESS and is_dark and live.has_failed


def with_attempt(service: Mapping[str, Any], live: LiveService, *, more: int) -> dict[str, Any]:
    """Return the rendered service with the number of its attempt, `more` than the live one's.

    The same template again would be the same failed revision; another number makes another one. A
    first attempt has none, so that what is served is what Git says, to the letter.
    """
    wanted = dict(read_wanted(service))
    before = live.predictor.get("annotations")
    number = before.get(ATTEMPT, "0") if isinstance(before, Mapping) else "0"
    count = more + (int(number) if str(number).isascii() and str(number).isdigit() else 0)
    if count:
        wanted["annotations"] = {**wanted["annotations"], ATTEMPT: str(count)}
    return {**service, "spec": {"predictor": wanted}}


def with_share(
    service: Mapping[str, Any], stable: Mapping[str, Any], percent: int, mode: KserveMode
) -> dict[str, Any]:
    """Return what to apply so that the rendered service's predictor has a share of the traffic.

    In Standard mode `stable` keeps the rest; a share of 0 is dark in both modes.
    """
    wanted = dict(read_wanted(service))
    if mode is KserveMode.SERVERLESS:
        return {**service, "spec": {"predictor": {**wanted, "canaryTrafficPercent": percent}}}
    spec = {"predictor": dict(stable), "canary": [make_canary(wanted, percent)]}
    return {**service, "spec": spec}


def with_previous(
    service: Mapping[str, Any], stable: Mapping[str, Any], mode: KserveMode
) -> dict[str, Any]:
    """Return what to apply so that what served before has all the traffic."""
    if mode is KserveMode.SERVERLESS:
        return with_share(service, stable, 0, mode)
    return {**service, "spec": {"predictor": dict(stable), "canary": []}}


def with_all(service: Mapping[str, Any], mode: KserveMode) -> dict[str, Any]:
    """Return what to apply so that the rendered service has all the traffic.

    A list that is left out stays when somebody else has set it too, so its end is said.
    """
    spec = dict(service["spec"])
    return {**service, "spec": {**spec, "canary": []} if mode is KserveMode.STANDARD else spec}


def with_stop(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to apply so that nothing serves: KServe keeps the service, and ends its pods."""
    meta = service["metadata"]
    annotations = {**meta["annotations"], STOP: "true"}
    return {**service, "metadata": {**meta, "annotations": annotations}}
