"""A model comes in; who answers for it on the cluster, and what is under way there, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.kserve import Patience, ask_identity
from gitops.errors import OutsideError
from gitops.flow.cluster_rollouts import open_service

if TYPE_CHECKING:
    from gitops.config import ModelConfig
    from gitops.engines import Kserve
    from gitops.live import LiveService
    from gitops.rollout import ServedIdentity

# Somebody waits for the answer.
_PATIENCE = Patience(answer=10.0, attempts=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStanding:
    """What the cluster says: an address, who answers there, why nobody does, and what is under way."""

    url: str
    served: ServedIdentity | None
    problem: str
    note: str


def read_cluster(model: ModelConfig, kserve: Kserve, environ: Mapping[str, str]) -> ClusterStanding:
    """Ask the cluster for a model's service, and its public address for who answers.

    Raises:
        InputError: nothing says where the cluster is.
    """
    where = f"{model.serve.namespace}/{model.serve.name}"
    try:
        service = open_service(model, kserve, environ, _PATIENCE)
        live = service.read()
    except OutsideError as error:
        return ClusterStanding(url=where, served=None, problem=str(error), note="")
    if live is None or live.is_stopped:
        state = "is not applied yet" if live is None else "is stopped"
        return ClusterStanding(url="", served=None, problem="", note=f"{where} {state}")
    if not live.url:
        problem = live.trouble or "it was never ready"
        return ClusterStanding(url=where, served=None, problem=problem, note="")
    try:
        served = ask_identity(service.open_url(live.url), model.serve.name)
    except OutsideError as error:
        return ClusterStanding(url=live.url, served=None, problem=str(error), note="")
    return ClusterStanding(url=live.url, served=served, problem="", note=_describe_canary(live))


def _describe_canary(live: LiveService) -> str:
    shares = [canary.percent for canary in live.canaries]
    if live.percent is not None:
        shares.append(live.percent)
    return "".join(f"a new one has {share} % of the traffic" for share in shares[:1])
