"""A pipeline to run comes in; the engine that gitops.yaml names runs it, and its outputs and steps go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gitops.config import ModelConfig
from gitops.flow import engine
from gitops.flow.workspace import Workspace
from gitops.run import Step


class Kind(StrEnum):
    """Which pipeline: a merge request's, the target branch's, or the one that a schedule starts."""

    EXPERIMENTAL = "experimental"
    PRODUCTION = "production"
    SCHEDULED = "scheduled"


_LOGS = {Kind.EXPERIMENTAL: "run.log", Kind.PRODUCTION: "production.log"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWork:
    """A pipeline with its arguments.

    Attributes:
        kind: which pipeline it is.
        request: what the engine composes, and the arguments; see `gitops.adapters.kfp`.
        subject: digest of what the work is about: equal work is done once.
    """

    kind: Kind
    request: Mapping[str, Any]
    subject: str


def run_engine(
    workspace: Workspace,
    model: ModelConfig,
    work: EngineWork,
    scratch: Path,
    environ: Mapping[str, str],
) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """Run a pipeline to its end, here or on the cluster; return its outputs here and its steps.

    On a cluster there are no outputs here: the score step has put its result into the store.

    Raises InputError with the failing step's last lines when code of the pipeline fails, and
    OutsideError when the engine itself failed.
    """
    log_file = workspace.document(model.name, _LOGS[work.kind])
    if workspace.settled.kubeflow is not None:
        from gitops.flow.cluster_engine import run_on_cluster

        return {}, run_on_cluster(workspace, model, work, scratch, environ)
    visible = environ if work.kind is Kind.PRODUCTION else engine.clean_environment(environ)
    return engine.run_pipeline(work.request, scratch, log_file, environ=visible)
