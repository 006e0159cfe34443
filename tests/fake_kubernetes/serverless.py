"""An InferenceService in Serverless mode and its revisions come in; new revisions, status and route go out.

After KServe's ksvc_reconciler.go (which traffic to ask Knative for) and inference_service_status.go
(what was rolled out), and Knative's own rule that `latestRevision` is the latest READY one.
"""

from __future__ import annotations

from typing import Any

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

_TAGGED = "serving.kserve.io/enable-tag-routing"
_PARTS = ("PredictorReady", "IngressReady")


def reconcile(service: Body, mine: list[Workload], pods: Pods, *, flapped: bool) -> Route:
    """Bring the revisions to what the spec says; the answer carries the new status."""
    meta, predictor = service["metadata"], service["spec"]["predictor"]
    namespace, name = meta["namespace"], meta["name"]
    template = make_template(service, predictor, without=("canaryTrafficPercent",))
    if not mine or mine[-1].template != template:
        number = len(mine) + 1
        revision = f"{name}-predictor-{number:05d}"
        mine.append(pods.start(namespace, name, revision, template, meta["generation"]))
    before = service.get("status", {})
    component = dict(before.get("components", {}).get("predictor", {}))
    ready = _find_ready(mine, component)
    targets = _plan_traffic(service, mine, ready, component)
    _roll_out(component, mine[-1], ready, targets)
    host = f"{name}.{namespace}.{DOMAIN}"
    component |= {
        "latestCreatedRevision": mine[-1].name,
        "traffic": [_render(target, namespace, name) for target in targets if target.workload],
    }
    if ready:
        component |= {"latestReadyRevision": ready.name}
        component |= {"url": f"http://{name}-predictor.{namespace}.{DOMAIN}"}
    _retire(mine, component, targets, pods)
    conditions = _judge(mine[-1], ready, flapped=flapped)
    status = {
        "observedGeneration": meta["generation"],
        "deploymentMode": "Serverless",
        "components": {"predictor": component},
        "conditions": render_conditions(conditions, before),
        "modelStatus": render_model_status(mine[-1], ready),
        **({"url": f"http://{host}"} if ready else {}),
    }
    return Route(status=status, targets=targets, hosts=_hosts(name, namespace, mine, targets))


def _find_ready(mine: list[Workload], component: Body) -> Workload | None:
    """Return the latest revision that is or was ready: Knative does not go back when one dies later."""
    before = component.get("latestReadyRevision", "")
    for revision in reversed(mine):
        if revision.ready or revision.name == before:
            return revision
    return None


def _plan_traffic(
    service: Body, mine: list[Workload], ready: Workload | None, component: Body
) -> list[Target]:
    annotations = service["metadata"].get("annotations") or {}
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    tag = "latest" if annotations.get(_TAGGED) == "true" else ""
    rolled_out = component.get("latestRolledoutRevision", "")
    if percent is None or not rolled_out:
        return [Target(workload=ready, percent=100, tag=tag, latest=True)]
    targets = [Target(workload=ready, percent=percent, tag=tag, latest=True)]
    if percent < 100:
        previous = next((each for each in mine if each.name == rolled_out), None)
        targets.append(Target(workload=previous, percent=100 - percent, tag="prev"))
    return targets


def _roll_out(
    component: Body, created: Workload, ready: Workload | None, targets: list[Target]
) -> None:
    """Keep account of what had all the traffic."""
    if ready is None:
        return
    rolled_out, percent = component.get("latestRolledoutRevision", ""), targets[0].percent
    if rolled_out != ready.name:
        if percent == 100:
            component |= {"previousRolledoutRevision": rolled_out} if rolled_out else {}
            component["latestRolledoutRevision"] = ready.name
        return
    # Lowering the share of a revision that was already rolled out is a rollback.
    share = sum(target.percent for target in targets if target.workload is ready)
    before = component.get("previousRolledoutRevision", "")
    if ready is created and percent < 100 and share == 100 and before:
        component["latestRolledoutRevision"] = before


def _retire(mine: list[Workload], component: Body, targets: list[Target], pods: Pods) -> None:
    """End what no traffic can come back to."""
    words = ("latestReady", "latestRolledout", "previousRolledout")
    named = {component.get(f"{word}Revision") for word in words}
    used = [mine[-1], *(target.workload for target in targets)]
    for revision in mine:
        if revision.ready and revision.name not in named and revision not in used:
            pods.stop(revision)


def _render(target: Target, namespace: str, name: str) -> Body:
    assert target.workload is not None
    line: dict[str, Any] = {
        "revisionName": target.workload.name,
        "percent": target.percent,
        "latestRevision": target.latest,
    }
    if target.tag:
        line |= {"tag": target.tag, "url": f"http://{_tag_host(target.tag, namespace, name)}"}
    return line


def _tag_host(tag: str, namespace: str, name: str) -> str:
    return f"{tag}-{name}-predictor.{namespace}.{DOMAIN}"


def _judge(created: Workload, ready: Workload | None, *, flapped: bool) -> list[Condition]:
    good = False if flapped else judge(created)
    reason = {None: "RevisionMissing", False: "RevisionFailed", True: ""}[good]
    message = f'Revision "{created.name}": {created.message or created.state}' if not good else ""
    if created.state is State.LOADING:
        message = f'Configuration is waiting for Revision "{created.name}" to become ready.'
    conditions = [
        Condition(name=each, good=good, reason=reason, message=message)
        for each in ("PredictorReady", "PredictorConfigurationReady", "LatestDeploymentReady")
    ]
    routed = True if ready else None
    routes = ("PredictorRouteReady", "RoutesReady", "IngressReady")
    conditions += [
        Condition(name=each, good=routed, reason="" if ready else "Uninitialized")
        for each in routes
    ]
    return add_ready(conditions, _PARTS)


def _hosts(
    name: str, namespace: str, mine: list[Workload], targets: list[Target]
) -> dict[str, list[Target]]:
    inside = f"{namespace}.svc.cluster.local"
    both = (f"{name}.{namespace}.{DOMAIN}", f"{name}-predictor.{namespace}.{DOMAIN}")
    hosts = dict.fromkeys((*both, f"{name}.{inside}", f"{name}-predictor.{inside}"), targets)
    for target in targets:
        if target.tag:
            whole = [Target(workload=target.workload, percent=100)]
            hosts[_tag_host(target.tag, namespace, name)] = whole
            hosts[f"{target.tag}-{name}-predictor.{inside}"] = whole
    for revision in mine:
        hosts[f"{revision.name}.{inside}"] = [Target(workload=revision, percent=100)]
    return hosts
