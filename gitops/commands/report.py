"""Write the last verdict of each model, or of one, for a reviewer.

Writes report.md (the note of a merge request) and report.html (the page with pictures) beside the
verdict, and prints the summary. Exit codes are those of the verdict: 0 pass, 1 fail, 5 undecided;
2 when the run failed, whose last lines are printed instead.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gitops.commands.each import for_each
from gitops.commands.gate import exit_code, find_judged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model and --target."""
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model")
    parser.add_argument("--target", metavar="REV", help="branch whose policy was applied")


def run(arguments: argparse.Namespace) -> int:
    """Write and print the reports; return the exit code of the worst verdict."""
    from gitops.flow.failures import raise_failure
    from gitops.flow.reporting import report_model
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ, target=arguments.target)
    names = find_judged(workspace, arguments.model, "verdict.json")

    def report(name: str) -> int:
        raise_failure(workspace, name)
        return exit_code(report_model(workspace, name))

    return for_each(names, report)
