"""An InferenceService in Standard mode and its pods come in; Deployments, status and route go out.

After kserve/kserve#5672 (named canaries), #5912 (weights) and #5984 (only ready canaries get traffic).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.pods import Pods, State, Workload
from tests.fake_kubernetes.route import Route, make_template
from tests.fake_kubernetes.status import (
    DOMAIN,
    Condition,
    Target,
    add_ready,
    judge,
    render_conditions,
    render_model_status,
)

# What is no part of a pod: `name` is the Deployment's, the rest scales it.
_NOT_OF_THE_POD = (
    "name",
    "minReplicas",
    "maxReplicas",
    "scaleTarget",
    "scaleMetric",
    "canaryTrafficPercent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """The newest pod of a Deployment, and the one that answers: the old one during a rolling update."""

    newest: Workload
    serving: Workload

    @property
    def ready(self) -> bool:
        return self.serving.ready

    @property
    def shown(self) -> Workload:
        """Return what the status speaks of: a rolling update does not show in it while the old pod answers."""
        return self.serving if self.ready else self.newest


def reconcile(service: Body, mine: list[Workload], pods: Pods, *, flapped: bool) -> Route:
    """Bring the Deployments to what the spec says; the answer carries the new status."""
    spec, name = service["spec"], service["metadata"]["name"]
    canaries = [
        (
            each["predictor"]["name"],
            each["trafficPercent"],
            _overlay(spec["predictor"], each["predictor"]),
        )
        for each in spec.get("canary") or []
    ]
    deployed = {
        word: _deploy(service, word, predictor, mine, pods) for word, _, predictor in canaries
    }
    stable = _deploy(service, spec["predictor"].get("name", ""), spec["predictor"], mine, pods)
    _stop_others(mine, [stable, *deployed.values()], pods)
    statuses = [
        {"name": word, "ready": deployed[word].ready and not flapped, "trafficPercent": percent}
        | {"modelStatus": render_model_status(deployed[word].shown, deployed[word].serving)}
        for word, percent, _ in canaries
    ]
    targets = [
        Target(workload=deployed[word].serving, percent=percent)
        for word, percent, _ in canaries
        if deployed[word].ready
    ]
    rest = 100 - sum(target.percent for target in targets)
    targets.insert(0, Target(workload=stable.serving, percent=rest))
    status = _render_status(service, stable, list(deployed.values()), flapped=flapped)
    if statuses:
        status["canaryStatuses"] = statuses
    return Route(status=status, targets=targets, hosts=_hosts(service, name, mine, targets))


def make_deployment_name(service: str, predictor: str) -> str:
    """Return what KServe calls the Deployment of a named predictor."""
    return f"{service}-{predictor}-predictor" if predictor else f"{service}-predictor"


def _overlay(stable: Body, canary: Body) -> Body:
    """Fill what a canary leaves out from the stable predictor."""
    merged = dict(stable)
    for key, value in canary.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _deploy(
    service: Body, word: str, predictor: Body, mine: list[Workload], pods: Pods
) -> _Deployment:
    meta = service["metadata"]
    name = make_deployment_name(meta["name"], word)
    template = make_template(service, predictor, without=_NOT_OF_THE_POD)
    living = [each for each in mine if each.name == name and each.state is not State.STOPPED]
    if not living or living[-1].template != template:
        made = pods.start(meta["namespace"], meta["name"], name, template, meta["generation"])
        mine.append(made)
        living.append(made)
    newest = living[-1]
    old = next((each for each in reversed(living) if each.ready), newest)
    for each in living:
        if each not in (newest, old):
            pods.stop(each)
    return _Deployment(newest=newest, serving=old)


def _stop_others(mine: list[Workload], wanted: list[_Deployment], pods: Pods) -> None:
    """Delete what no predictor names any more, as the controller does with orphans."""
    kept = [each for one in wanted for each in (one.newest, one.serving)]
    for each in mine:
        if each.state is not State.STOPPED and each not in kept:
            pods.stop(each)


def _render_status(
    service: Body, stable: _Deployment, canaries: list[_Deployment], *, flapped: bool
) -> Body:
    meta, before = service["metadata"], service.get("status", {})
    host = _host(meta["name"], meta["namespace"])
    conditions = [_judge("PredictorReady", stable, flapped=flapped)]
    conditions.append(Condition(name="IngressReady", good=True))
    if canaries:
        conditions.append(_judge_canaries(canaries, flapped=flapped))
    conditions = add_ready(conditions, ("PredictorReady", "IngressReady"))
    url = f"http://{meta['name']}-predictor-{meta['namespace']}.{DOMAIN}"
    return {
        "observedGeneration": meta["generation"],
        "deploymentMode": "Standard",
        "url": f"http://{host}",
        "components": {"predictor": {"url": url}},
        "conditions": render_conditions(conditions, before),
        "modelStatus": render_model_status(stable.shown, stable.serving),
    }


def _judge(name: str, deployment: _Deployment, *, flapped: bool) -> Condition:
    # A rolling update that hangs leaves a Deployment available: the old pod still answers.
    good = True if deployment.ready else judge(deployment.newest)
    if good and not flapped:
        return Condition(name=name, good=True)
    message = deployment.newest.message or f"{deployment.newest.name} is not available"
    bad = False if flapped else good
    return Condition(name=name, good=bad, reason="MinimumReplicasUnavailable", message=message)


def _judge_canaries(canaries: list[_Deployment], *, flapped: bool) -> Condition:
    good = all(each.ready for each in canaries) and not flapped
    reason = "AllCanariesReady" if good else "CanaryNotReady"
    return Condition(name="CanaryPredictorReady", good=good, reason=reason)


def _host(name: str, namespace: str) -> str:
    return f"{name}-{namespace}.{DOMAIN}"


def _hosts(
    service: Body, name: str, mine: list[Workload], targets: list[Target]
) -> dict[str, list[Target]]:
    namespace = service["metadata"]["namespace"]
    inside = f"{namespace}.svc.cluster.local"
    hosts: dict[str, list[Target]] = {}
    for each in mine:
        serving = hosts.get(f"{each.name}.{inside}", [Target(workload=None, percent=100)])[
            0
        ].workload
        if each.state is not State.STOPPED and not (serving and serving.ready and not each.ready):
            hosts[f"{each.name}.{inside}"] = [Target(workload=each, percent=100)]
    hosts[_host(name, namespace)] = targets
    hosts[_host(f"{name}-predictor", namespace)] = targets
    hosts[f"{name}.{inside}"] = targets
    return hosts
