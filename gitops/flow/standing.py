"""A model comes in; what should serve, what does, and why they differ if they do, goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.local_server import ask_identity, read_port
from gitops.adapters.publish import Question, read_target
from gitops.errors import OutsideError
from gitops.flow.cluster_standing import read_cluster
from gitops.flow.releasing import make_remote
from gitops.flow.rollouts import service_folder
from gitops.plan import show
from gitops.release import Release, make_release
from gitops.rollout import ServedIdentity, make_identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.config import ModelConfig
    from gitops.engines import Kserve
    from gitops.flow.workspace import Workspace

ANSWER_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What should serve, what does, and why they differ if they do.

    Attributes:
        model: name in gitops.yaml.
        released: what the target branch carries, None before the first release.
        url: where it answers, empty when it was never rolled out here.
        served: what answers, None when nothing does.
        problem: empty when Git and the endpoint agree, or nothing is deployed.
        note: what a person should know besides, e.g. that a rollout is under way.
    """

    model: str
    released: Release | None
    url: str
    served: ServedIdentity | None
    problem: str
    note: str = ""


def read_standing(workspace: Workspace, model: ModelConfig, environ: Mapping[str, str]) -> Standing:
    """Ask Git what should serve and the endpoint what does."""
    target = read_target(make_remote(workspace, environ), Question(config=model))
    release = make_release(target.carried, created=False) if target.carried else None
    kserve = workspace.settled.kserve
    if kserve is not None:
        return _read_cluster(model, kserve, release, environ)
    port = read_port(service_folder(workspace, model))
    served, problem = None, ""
    if port is not None:
        try:
            served = ask_identity(port, model.serve.name, timeout=ANSWER_TIMEOUT)
        except OutsideError as error:
            problem = str(error)
    url = f"http://127.0.0.1:{port}" if port is not None else ""
    problem = problem or find_difference(served, release)
    return Standing(model=model.name, released=release, url=url, served=served, problem=problem)


def find_difference(served: ServedIdentity | None, release: Release | None) -> str:
    """Say what serves instead of what should; empty when they agree, or nothing serves."""
    if served is None or (release is not None and served == make_identity(release)):
        return ""
    return f"serves {show(served.version)} of commit {show(served.commit[:12])} instead"


def _read_cluster(
    model: ModelConfig, kserve: Kserve, release: Release | None, environ: Mapping[str, str]
) -> Standing:
    """Ask the cluster, unless it is others' to apply and nobody says where it is."""
    if not kserve.apply and not environ.get("KUBECONFIG"):
        note = "left to Argo CD or Flux (apply: false); set KUBECONFIG to ask the cluster"
        return Standing(
            model=model.name, released=release, url="", served=None, problem="", note=note
        )
    seen = read_cluster(model, kserve, environ)
    problem = seen.problem or find_difference(seen.served, release)
    return Standing(
        model=model.name,
        released=release,
        url=seen.url,
        served=seen.served,
        problem=problem,
        note=seen.note,
    )
