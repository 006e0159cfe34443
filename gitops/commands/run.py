"""Run a pipeline of the models that the plan names.

experimental: prepare, train and score, as a merge request does. A result of the same fingerprint is
reused from the store.
production: on the target branch, the same experiment nested in a longer pipeline: judge, release,
roll out. What was judged already is shipped as it is, unless gitops.yaml says `promote: rebuilt`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.commands.plan import add_comparison, make, say_plan
from gitops.errors import ExitCode, GitopsError

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
    if plan.is_refused:
        return ExitCode.BAD_INPUT
    run_planned(workspace, plan, arguments.model)
    return ExitCode.DONE


def run_planned(workspace: Workspace, plan: Plan, only: list[str] | None = None) -> list[Run]:
    """Run every planned model, or those of `only` among them."""
    from gitops.flow.experiment import run_experiment

    for name in only or ():
        workspace.model(name)
    chosen = [planned for planned in plan.planned if not only or planned.name in only]
    return [run_experiment(workspace, planned, plan.base, os.environ) for planned in chosen]


def _run_production(arguments: argparse.Namespace) -> int:
    """Bring every model, or those named, into production; the worst exit code of all is returned.

    One model that fails does not keep the others from being released.
    """
    from gitops.flow.production import run_production
    from gitops.flow.waiving import read_today
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ, head=arguments.head, target=arguments.target)
    names = arguments.model or [model.name for model in workspace.config.models]
    codes = [ExitCode.DONE]
    for model in [workspace.model(name) for name in names]:
        try:
            run_production(
                workspace,
                model,
                os.environ,
                today=read_today(),
                with_rollout=not arguments.no_rollout,
            )
        except GitopsError as error:
            if len(names) == 1:
                raise
            codes.append(explain(model.name, error))
    return max(codes)


def explain(model: str, error: GitopsError) -> ExitCode:
    """Print why one of several models failed; return its exit code."""
    from gitops import log

    log.say(f"error: {model}: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
    return error.exit_code
