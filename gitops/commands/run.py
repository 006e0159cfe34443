"""Run a pipeline of the models that the plan names.

experimental: prepare, train and score, as a merge request does. A result of the same fingerprint is
reused from the store.
production: on the target branch, the same experiment nested in a longer pipeline: judge, release,
roll out. What was judged already is shipped as it is, unless gitops.yaml says `promote: rebuilt`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.commands.each import for_each
from gitops.commands.plan import add_comparison, make, say_plan
from gitops.errors import ExitCode

if TYPE_CHECKING:
    from gitops.flow.workspace import Workspace
    from gitops.plan import Plan
    from gitops.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind of pipeline and the options that say what to run."""
    parser.add_argument("kind", choices=("experimental", "production"))
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model")
    parser.add_argument(
        "--no-rollout", action="store_true", help="production: end with the release"
    )
    add_comparison(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the pipeline of that kind."""
    return _run_production(arguments) if arguments.kind == "production" else _run_planned(arguments)


def _run_planned(arguments: argparse.Namespace) -> int:
    workspace, plan = make(arguments)
    say_plan(plan)
    return for_each_planned(workspace, plan, arguments.model, lambda _: ExitCode.DONE)


def for_each_planned(
    workspace: Workspace, plan: Plan, only: list[str] | None, then: Callable[[Run], int]
) -> int:
    """Run every planned model, or those of `only` among them, and go on with each run."""
    from gitops.flow.experiment import run_experiment

    for name in only or ():
        workspace.model(name)
    if plan.is_refused:
        return ExitCode.BAD_INPUT
    chosen = {one.name: one for one in plan.planned if not only or one.name in only}
    return for_each(
        list(chosen),
        lambda name: then(run_experiment(workspace, chosen[name], plan.base, os.environ)),
    )


def _run_production(arguments: argparse.Namespace) -> int:
    """Bring every model, or those named, into production."""
    from gitops.flow.production import run_production
    from gitops.flow.waiving import read_today
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ, head=arguments.head, target=arguments.target)
    today, with_rollout = read_today(), not arguments.no_rollout

    def work(name: str) -> int:
        model = workspace.model(name)
        run_production(workspace, model, os.environ, today=today, with_rollout=with_rollout)
        return ExitCode.DONE

    return for_each(arguments.model or [model.name for model in workspace.config.models], work)
