"""Say what changed, so what must run, and why; nothing is trained.

Compares HEAD with its merge base with the target branch, from Git objects alone, refuses `.dvc`
files that DVC must not see, and checks that changed data is on the remote.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    from gitops.flow.workspace import Workspace
    from gitops.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is compared with what."""
    add_comparison(parser)
    parser.add_argument("--json", action="store_true", help="print the plan document")
    parser.add_argument(
        "--child-pipeline", type=Path, metavar="FILE", help="write GitLab's child pipeline there"
    )


def add_comparison(parser: argparse.ArgumentParser) -> None:
    """Add --head, --target and --base."""
    parser.add_argument("--head", default="HEAD", metavar="REV", help="commit to plan (HEAD)")
    parser.add_argument(
        "--target", metavar="REV", help="target branch (origin's target_branch of gitops.yaml)"
    )
    parser.add_argument(
        "--base", metavar="REV", help="commit to compare with (merge base with the target branch)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Plan, write plan.json, print it; 2 when something is refused and no child pipeline will say so."""
    from gitops.plan import plan_to_json, render_plan

    workspace, plan = make(arguments)
    is_told = False
    if arguments.child_pipeline:
        from gitops.flow.pipelining import write_child

        is_told = write_child(workspace, plan, os.environ, arguments.child_pipeline)
    if arguments.json:
        print_json(plan_to_json(plan))
    else:
        sys.stdout.write("\n".join(render_plan(plan)) + "\n")
    return ExitCode.BAD_INPUT if plan.is_refused and not is_told else ExitCode.DONE


def make(arguments: argparse.Namespace) -> tuple[Workspace, Plan]:
    """Open the workspace, plan, and write plan.json."""
    from gitops.adapters import documents
    from gitops.flow.planning import find_base, plan_changes
    from gitops.flow.workspace import open_workspace
    from gitops.plan import plan_to_json

    workspace = open_workspace(Path.cwd(), os.environ, head=arguments.head, target=arguments.target)
    warn_uncommitted(workspace, arguments.head)
    base = find_base(workspace, os.environ, arguments.base)
    plan = plan_changes(workspace, base)
    documents.write_document(workspace.folder / "plan.json", "plan", plan_to_json(plan))
    return workspace, plan


def warn_uncommitted(workspace: Workspace, head: str) -> None:
    """Say that work which is not committed is not looked at."""
    from gitops import log

    names = workspace.repository.read_uncommitted() if head == "HEAD" else ()
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        log.warn(f"not committed, so not looked at: {names[0]}{more}")


def say_plan(plan: Plan) -> None:
    """Show a plan as part of the progress of a longer command."""
    from gitops import log
    from gitops.plan import render_plan

    for line in render_plan(plan):
        log.say(line)


def print_json(body: object) -> None:
    """Print a document on standard output."""
    sys.stdout.write(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
