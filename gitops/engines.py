"""The `run` and `rollout` sections of gitops.yaml come in; which engine runs and serves, and how, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Stands for the one image in a pipeline's code; gitops.yaml names it by digest.
IMAGE = "python:3.11-slim"

# The steps that the toolkit itself adds around a team's training.
OWN_STEPS = ("prepare", "score", "recall", "judge", "release", "rollout", "produce")


class KserveMode(StrEnum):
    """How KServe runs a service: on Knative revisions, or on plain Deployments (KServe 0.20 or newer)."""

    SERVERLESS = "serverless"
    STANDARD = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSecret:
    """A Kubernetes secret that one step may see, each key as an environment variable."""

    name: str
    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint that a step's pod tolerates, in Kubernetes' own words."""

    key: str
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlacement:
    """Where a step runs, with what, and how often it is tried.

    Attributes:
        cpu: limit and request, in Kubernetes' units (`"2"`, `500m`); empty leaves it to the cluster.
        memory: the same for memory (`4Gi`).
        accelerator: resource name of a device, e.g. `nvidia.com/gpu`; empty for none.
        accelerators: how many of them.
        retries: further attempts after a failure.
    """

    cpu: str = ""
    memory: str = ""
    accelerator: str = ""
    accelerators: int = 1
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    secrets: tuple[StepSecret, ...] = ()
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A recurring production run of one model; `cron` has six fields, seconds first, as KFP wants it."""

    name: str
    model: str
    cron: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeflow:
    """Kubeflow Pipelines as the engine of `gitops run`.

    Attributes:
        host: address of the API, e.g. `https://kubeflow.example.org/pipeline`.
        namespace: where pipelines of merge requests run.
        production_namespace: where reviewed pipelines run; the same as `namespace` if left out.
        image: the one image, by digest; it changes with the lock file only.
        pipeline_root: where KFP keeps artifacts, e.g. `s3://bucket/kfp`; empty for KFP's own default.
        service_account: of the pods of merge requests; empty for the namespace's default.
        production_service_account: of the pods of reviewed pipelines; the same one if left out.
        deadline: seconds that a run may take.
        steps: placements by name of the step's component.
        schedules: recurring production runs.
    """

    host: str
    namespace: str
    production_namespace: str
    image: str
    pipeline_root: str = ""
    service_account: str = ""
    production_service_account: str = ""
    deadline: float = 21600.0
    steps: tuple[tuple[str, StepPlacement], ...] = ()
    schedules: tuple[Schedule, ...] = ()

    def placement(self, step: str) -> StepPlacement:
        """Return where a step runs; the cluster's defaults where nothing is said."""
        return dict(self.steps).get(step, StepPlacement())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCheck:
    """What must hold between two steps of a canary, measured by requests through the public address.

    Attributes:
        requests: how many to send at each step.
        max_error_rate: largest share of them that may fail.
        max_latency_ratio: largest 95th percentile of the new one's seconds, in those of the old one.
    """

    requests: int = 50
    max_error_rate: float = 0.0
    max_latency_ratio: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kserve:
    """KServe as the engine of `gitops rollout`.

    Attributes:
        mode: on Knative or on plain Deployments.
        apply: False leaves the commit to Argo CD or Flux.
        folder: repository folder of the rendered manifests.
        runtime: name of the ServingRuntime; the toolkit's own runs `gitops serve`.
        service_account: of the serving pods.
        gateway: address that requests are sent to, with the service's own name as `Host`; empty
            for the service's own address.
        traffic: shares of the new revision, in percent, after its dark start; the last is 100.
        ready: seconds that a revision may take to be ready.
        min_replicas, max_replicas: of the serving pods.
        cpu, memory: limits and requests of a serving pod.
    """

    mode: KserveMode
    apply: bool = True
    folder: str = "kubernetes/served"
    runtime: str = "gitops-serve"
    service_account: str = "gitops-serve"
    gateway: str = ""
    traffic: tuple[int, ...] = (10, 50, 100)
    check: TrafficCheck = field(default_factory=TrafficCheck)
    ready: float = 600.0
    min_replicas: int = 1
    max_replicas: int = 3
    cpu: str = "1"
    memory: str = "1Gi"


def make_kubeflow(body: Mapping[str, Any]) -> Kubeflow | None:
    """Read the validated `run` section; None is the local engine."""
    if body.get("engine", "local") == "local":
        return None
    return Kubeflow(
        host=body["host"].rstrip("/"),
        namespace=body["namespace"],
        production_namespace=body.get("production_namespace", body["namespace"]),
        image=body["image"],
        pipeline_root=body.get("pipeline_root", ""),
        service_account=body.get("service_account", ""),
        production_service_account=body.get(
            "production_service_account", body.get("service_account", "")
        ),
        deadline=60.0 * body.get("deadline_minutes", 360),
        steps=tuple((name, _placement(each)) for name, each in body.get("steps", {}).items()),
        schedules=tuple(
            Schedule(name=name, **each) for name, each in body.get("schedules", {}).items()
        ),
    )


def make_kserve(body: Mapping[str, Any]) -> Kserve | None:
    """Read the validated `rollout` section; None is the local engine."""
    if body.get("engine", "local") == "local":
        return None
    given = {key: value for key, value in body.items() if key not in _TRANSLATED}
    if "traffic" in body:
        given["traffic"] = tuple(body["traffic"])
    if "ready_minutes" in body:
        given["ready"] = 60.0 * body["ready_minutes"]
    return Kserve(
        mode=KserveMode(body["mode"]), check=TrafficCheck(**body.get("check", {})), **given
    )


_TRANSLATED = ("engine", "mode", "traffic", "check", "ready_minutes")


def _placement(body: Mapping[str, Any]) -> StepPlacement:
    plain = {key: value for key, value in body.items() if not isinstance(value, dict | list)}
    return StepPlacement(
        **plain,
        node_selector=tuple(sorted(body.get("node_selector", {}).items())),
        tolerations=tuple(Toleration(**each) for each in body.get("tolerations", ())),
        secrets=tuple(
            StepSecret(name=name, variables=tuple(sorted(variables.items())))
            for name, variables in body.get("secrets", {}).items()
        ),
    )


def engine_problems(
    kubeflow: Kubeflow | None, kserve: Kserve | None, store: str, models: tuple[str, ...]
) -> list[str]:
    """Name what the sections say that cannot work together."""
    problems = []
    if kubeflow is not None:
        if "://" not in store:
            problems.append(
                "store: pods on Kubeflow share no folder; name an object store, e.g. s3://bucket/gitops"
            )
        problems += [
            f"run.schedules.{schedule.name}.model: there is no model {schedule.model!r}"
            for schedule in kubeflow.schedules
            if schedule.model not in models
        ]
    if kserve is not None:
        rising = sorted(set(kserve.traffic))
        if list(kserve.traffic) != rising or rising[-1] != 100:
            problems.append("rollout.traffic: the shares must rise, and end with 100")
    return problems
