"""A model comes in; what should serve, what does, and why they differ if they do, goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.local_server import ask_identity, read_port
from gitops.adapters.publish import Question, read_target
from gitops.errors import OutsideError
from gitops.flow.releasing import make_remote
from gitops.flow.rollouts import service_folder
from gitops.release import Release, make_release
from gitops.rollout import ServedIdentity, make_identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.config import ModelConfig
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
    """

    model: str
    released: Release | None
    url: str
    served: ServedIdentity | None
    problem: str


def read_standing(workspace: Workspace, model: ModelConfig, environ: Mapping[str, str]) -> Standing:
    """Ask Git what should serve and the endpoint what does."""
    target = read_target(make_remote(workspace, environ), Question(config=model))
    release = make_release(target.carried, created=False) if target.carried else None
    port = read_port(service_folder(workspace, model))
    served, problem = None, ""
    if port is not None:
        try:
            served = ask_identity(port, model.serve.name, timeout=ANSWER_TIMEOUT)
        except OutsideError as error:
            problem = str(error)
    if served is not None and (release is None or served != make_identity(release)):
        problem = f"serves {served.version} of commit {served.commit[:12]} instead"
    url = f"http://127.0.0.1:{port}" if port is not None else ""
    return Standing(model=model.name, released=release, url=url, served=served, problem=problem)
