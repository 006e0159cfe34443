"""Make the recurring runs on Kubeflow those that gitops.yaml declares: created, replaced, removed.

Run it on the target branch after a merge. A scheduled run brings the branch's tip into production,
as the merge itself did; what is released already is left alone. Recurring runs that other
repositories or people made are never touched.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take no arguments: gitops.yaml says it all."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Reconcile the schedules, and say what was changed."""
    from gitops import log
    from gitops.flow.scheduling import reconcile
    from gitops.flow.workspace import open_workspace

    del arguments
    workspace = open_workspace(Path.cwd(), os.environ)
    changes = reconcile(workspace, os.environ)
    for change in changes:
        log.note(change.name, change.action, change.reason)
    if not changes:
        log.say(_explain(is_local=workspace.settled.kubeflow is None))
    return ExitCode.DONE


def _explain(*, is_local: bool) -> str:
    if is_local:
        return "no schedules: pipelines run on this machine (run.engine in gitops.yaml)"
    return "the schedules on the cluster are those of gitops.yaml"
