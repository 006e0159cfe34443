"""Plan, run, judge and report in one: what a merge request of this branch would be told.

Compares HEAD with its merge base with the target branch. Only what is committed counts. Exit codes:
0 pass or nothing to run, 1 the gate said no, 2 something is refused or a run failed, 5 a person
decides.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gitops.commands import plan as planning
from gitops.commands.gate import exit_code
from gitops.commands.run import for_each_planned

if TYPE_CHECKING:
    from gitops.flow.workspace import Workspace
    from gitops.gate.verdict import Verdict
    from gitops.plan import Plan
    from gitops.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to check."""
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model")
    planning.add_comparison(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check every planned model; return the exit code of the worst verdict."""
    workspace, plan = planning.make(arguments)
    planning.say_plan(plan)
    try:
        return for_each_planned(
            workspace,
            plan,
            arguments.model,
            lambda run: exit_code(_judge_and_report(workspace, plan, run)),
        )
    finally:
        _say_unjudged(workspace, plan, arguments.model)


def _say_unjudged(workspace: Workspace, plan: Plan, only: list[str] | None) -> None:
    """Name each model whose run failed; the error itself shows the step's last lines."""
    from gitops import log
    from gitops.flow.failures import find_failure

    names = [] if plan.is_refused else [one.name for one in plan.planned]
    for name in names:
        failure = find_failure(workspace, name) if not only or name in only else None
        if failure:
            log.say(f"{name}: NO VERDICT: the run failed: {failure.first_line}")


def _judge_and_report(workspace: Workspace, plan: Plan, run: Run) -> Verdict:
    from gitops.flow.judging import judge_run, write_verdict
    from gitops.flow.reporting import show_report

    verdict = judge_run(workspace, run)
    write_verdict(workspace, verdict)
    show_report(workspace, plan, run, verdict)
    return verdict
