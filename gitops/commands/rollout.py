"""Serve the release that the target branch carries, of one model or each, beside the old one, then switch.

The new server must start, say who it is, and predict the held-out rows as the gate saw them. Until
then, and whenever it fails, the old one keeps serving. The address stays the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.commands.each import for_each
from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from gitops.config import ModelConfig
    from gitops.flow.workspace import Workspace
    from gitops.rollout import Rollout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, and --stop."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="name of the model in gitops.yaml (every released one)",
    )
    parser.add_argument("--stop", action="store_true", help="end the service instead")


def run(arguments: argparse.Namespace) -> int:
    """Roll out and write rollout.json, or stop what serves; return the worst exit code of all."""
    from gitops.flow.rollouts import find_deployed, find_released
    from gitops.flow.trust import require_reviewed
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ)
    require_reviewed(workspace.request)
    work = _stop if arguments.stop else _deploy
    released = [] if arguments.model else find_released(workspace, os.environ)
    names = [arguments.model] if arguments.model else [model.name for model in released]
    return for_each(names, lambda name: work(workspace, find_deployed(workspace, name)))


def _deploy(workspace: Workspace, model: ModelConfig) -> ExitCode:
    from gitops import log

    log.say(render_rollout(deploy(workspace, model)))
    return ExitCode.DONE


def deploy(workspace: Workspace, model: ModelConfig) -> Rollout:
    """Roll out with progress on standard error, and write the document."""
    from gitops import log
    from gitops.flow.rollouts import roll_out, write_rollout

    with log.section("rollout", f"Roll out {model.name}"):
        rollout = roll_out(
            workspace, model, environ=os.environ, on_step=lambda step: log.say(f"  {step}")
        )
    write_rollout(workspace, rollout)
    return rollout


def render_rollout(rollout: Rollout) -> str:
    """Return one line about a rollout."""
    if not rollout.applied:
        place = f"commit {rollout.committed[:12]}" if rollout.committed else "committed already"
        return (
            f"{rollout.model} {rollout.identity.version} is left to Argo CD or Flux: {place} "
            "(apply: false)"
        )
    state = "serves now" if rollout.changed else "serves already"
    parity = rollout.parity
    proof = f"{parity.rows} held-out rows predicted as judged" if parity else "no rows to compare"
    identity = rollout.identity
    return f"{identity.model} {identity.version} {state}: {rollout.url} ({proof})"


def _stop(workspace: Workspace, model: ModelConfig) -> ExitCode:
    from gitops import log
    from gitops.adapters.local_server import open_service
    from gitops.errors import InputError
    from gitops.flow.rollouts import service_folder

    if workspace.settled.kserve is not None:
        raise InputError(
            f"{model.name} is served by a cluster, which --stop does not touch",
            hint="take the model out of gitops.yaml and its manifest out of the repository in one "
            f"merge request, then: kubectl -n {model.serve.namespace} delete inferenceservice {model.serve.name}",
        )
    with open_service(service_folder(workspace, model), model.serve.name, os.environ) as service:
        service.stop_everything()
    log.say(f"{model.name} is not served any more")
    return ExitCode.DONE
