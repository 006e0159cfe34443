"""Go back to an earlier release, in Git and in service.

A new commit restores pointer and manifest of that release on the target branch; then it is rolled
out like any other. Nothing is trained, nothing is forced, nothing is deleted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, where to, and why."""
    parser.add_argument("model", metavar="MODEL", help="name of the model in gitops.yaml")
    parser.add_argument(
        "--to", metavar="VERSION", default="", help="e.g. v1.2.0 (the release before)"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the commit message")


def run(arguments: argparse.Namespace) -> int:
    """Commit the earlier release, roll it out, say what serves."""
    from gitops import log
    from gitops.commands.rollout import deploy, render_rollout
    from gitops.flow.rollbacks import finish_rollback, roll_back
    from gitops.flow.rollouts import find_deployed
    from gitops.flow.trust import require_reviewed
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ)
    require_reviewed(workspace.request)
    model = find_deployed(workspace, arguments.model)
    done = roll_back(workspace, model, to=arguments.to, reason=arguments.reason, environ=os.environ)
    state = "commit" if done.release.created else "already at commit"
    log.say(
        f"{model.name} {done.leaving} -> {done.release.version}: {state} {done.release.commit[:12]}"
    )
    log.say(render_rollout(deploy(workspace, model)))
    finish_rollback(workspace, model)
    return ExitCode.DONE
