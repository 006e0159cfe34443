"""Judge the last run of each model, or of one, against the policy of the target branch.

In a merge request's pipeline the run is data: rows and champion are fetched anew, the bundle is
scored anew. Writes verdict.json, junit.xml and metrics.txt beside the run document. Exit codes:
0 pass, 1 fail, 2 the run failed, 5 the held-out rows cannot tell.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.commands.each import for_each
from gitops.errors import ExitCode, InputError

if TYPE_CHECKING:
    from gitops.flow.workspace import Workspace
    from gitops.gate.verdict import Verdict
    from gitops.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model and --target."""
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model")
    parser.add_argument("--target", metavar="REV", help="branch whose policy decides")
    parser.add_argument("--report", action="store_true", help="write the reports as well")


def run(arguments: argparse.Namespace) -> int:
    """Judge, write the verdicts, print them; return the exit code of the worst."""
    from gitops.flow.failures import raise_failure
    from gitops.flow.judging import judge_run, write_verdict
    from gitops.flow.receiving import receive_run
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ, target=arguments.target)

    def judge(name: str) -> int:
        raise_failure(workspace, name)
        judged, run = receive_run(workspace, name, os.environ)
        verdict = judge_run(judged, run)
        write_verdict(judged, verdict)
        print_verdict(verdict)
        if arguments.report:
            _report(judged, run, verdict)
        return exit_code(verdict)

    return for_each(find_judged(workspace, arguments.model, "run.json"), judge)


def _report(workspace: Workspace, run: Run, verdict: Verdict) -> None:
    from gitops.flow.reporting import find_plan, show_report

    show_report(workspace, find_plan(workspace, run, os.environ), run, verdict)


def find_judged(workspace: Workspace, only: list[str] | None, document: str) -> list[str]:
    """Return the models that have a document, or whose run failed.

    InputError when there is none, or not the one asked for.
    """
    from gitops.flow.failures import find_failure

    names = only or [model.name for model in workspace.config.models]
    found = [
        name
        for name in names
        if workspace.document(name, document).exists() or find_failure(workspace, name)
    ]
    if not found or (only and len(found) != len(only)):
        raise InputError(
            f"there is no {document} to read",
            where=str(workspace.folder),
            hint="run: gitops run experimental" if document == "run.json" else "run: gitops gate",
        )
    return found


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict and its reason on one line."""
    from gitops import log
    from gitops.plan import show

    log.say(f"{verdict.model}: {verdict.outcome}: {show(verdict.reason)}")


def exit_code(verdict: Verdict) -> int:
    """Return the exit code of a verdict."""
    from gitops.gate.verdict import Outcome

    codes = {Outcome.PASS: ExitCode.DONE, Outcome.FAIL: ExitCode.GATE_SAID_NO}
    return codes.get(verdict.outcome, ExitCode.UNDECIDED)
