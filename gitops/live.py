"""What an API server says of an InferenceService comes in; what it asks for, and how far it is, goes out.

Pure. Whatever is not of the expected kind counts as not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops.inference import STOP
from gitops.plan import show

_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A share of the traffic as Knative has it: `is_latest` follows the newest ready revision."""

    revision: str
    percent: int
    tag: str
    url: str
    is_latest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """An entry of `spec.canary`, and what the status says of it."""

    name: str
    percent: int
    predictor: Mapping[str, Any]
    is_ready: bool
    routed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveService:
    """An InferenceService as the cluster holds it.

    Attributes:
        name: of the service.
        predictor: what its spec asks for, without the share of a canary.
        percent: share of the predictor, None when nothing splits the traffic.
        canaries: of the Standard mode.
        stale: names of canaries that are gone from the spec, but not yet from the cluster.
        is_stopped: somebody stopped it.
        is_ready: its Ready condition.
        has_failed: its predictor is not ready, and nobody is working on it any more.
        trouble: what the cluster says is wrong, empty when nothing is.
        created, ready, rolled_out: Knative's newest revision, its newest that is ready, and the one
            that has had all the traffic.
        routes: shares of the traffic as they are.
        url: public address, empty until it was ready once.
    """

    name: str
    predictor: Mapping[str, Any]
    percent: int | None
    canaries: tuple[Canary, ...]
    stale: tuple[str, ...]
    is_stopped: bool
    is_ready: bool
    has_failed: bool
    trouble: str
    created: str
    ready: str
    rolled_out: str
    routes: tuple[Route, ...]
    url: str

    def share(self, revision: str) -> int:
        """Return the share of the traffic that goes to a revision."""
        return sum(route.percent for route in self.routes if route.revision == revision)

    def find_url(self, tag: str) -> str:
        """Return the address of the revision with a tag, empty when there is none."""
        return next((route.url for route in self.routes if route.tag == tag), "")


def parse_live(body: object) -> LiveService:
    """Read what the API server says; whatever is not of the expected kind counts as not there."""
    meta, spec, status = (_mapping(_mapping(body).get(key)) for key in _SECTIONS)
    component = _mapping(_mapping(status.get("components")).get("predictor"))
    predictor = dict(_mapping(spec.get("predictor")))
    percent = _whole(predictor.pop("canaryTrafficPercent", None))
    states = {_text(each.get("name")): each for each in _listed(status.get("canaryStatuses"))}
    canaries = tuple(_parse_canary(each, states) for each in _listed(spec.get("canary")))
    conditions = {_text(each.get("type")): each for each in _listed(status.get("conditions"))}
    return LiveService(
        name=_text(meta.get("name")),
        predictor=predictor,
        percent=percent,
        canaries=canaries,
        stale=tuple(name for name in states if name not in {each.name for each in canaries}),
        is_stopped=_mapping(meta.get("annotations")).get(STOP) == "true",
        is_ready=_text(_mapping(conditions.get("Ready")).get("status")) == "True",
        has_failed=_text(conditions.get("PredictorReady", {}).get("status")) == "False",
        trouble=_find_trouble(status, conditions),
        created=_text(component.get("latestCreatedRevision")),
        ready=_text(component.get("latestReadyRevision")),
        rolled_out=_text(component.get("latestRolledoutRevision")),
        routes=tuple(_parse_route(each) for each in _listed(component.get("traffic"))),
        url=_text(status.get("url")),
    )


_SECTIONS = ("metadata", "spec", "status")


def _parse_canary(body: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> Canary:
    predictor = _mapping(body.get("predictor"))
    name = _text(predictor.get("name"))
    state = states.get(name, {})
    return Canary(
        name=name,
        percent=_whole(body.get("trafficPercent")) or 0,
        predictor=predictor,
        is_ready=state.get("ready") is True,
        routed=_whole(state.get("trafficPercent", 0)) if state else None,
    )


def _parse_route(body: Mapping[str, Any]) -> Route:
    return Route(
        revision=_text(body.get("revisionName")),
        percent=_whole(body.get("percent")) or 0,
        tag=_text(body.get("tag")),
        url=_text(body.get("url")),
        is_latest=body.get("latestRevision") is True,
    )


def _find_trouble(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    failure = _mapping(_mapping(status.get("modelStatus")).get("lastFailureInfo"))
    words = [_text(failure.get(key)) for key in ("reason", "message")]
    for kind in ("PredictorReady", "CanaryPredictorReady", "IngressReady", "Ready"):
        condition = conditions.get(kind, {})
        if _text(condition.get("status")) not in ("", "True"):
            words += [kind, *(_text(condition.get(key)) for key in ("reason", "message"))]
            break
    return show(": ".join(filter(None, words))[:300])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [_mapping(each) for each in value[:_MOST]] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value[:1000] if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
