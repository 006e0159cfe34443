"""Record who decides to release a model that did not pass, and why.

Writes a small file beside the model's pointer, bound to exactly the last verdict. It counts once it
is on the target branch, until it expires; other data, code, champion or policy make it void. The
verdict itself stays what it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from gitops.flow.waiving import Waived


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, why, until when, and who."""
    parser.add_argument("model", metavar="MODEL", help="name of the model in gitops.yaml")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for the history")
    parser.add_argument(
        "--expires",
        default="",
        metavar="DATE",
        help="last day on which it counts, e.g. 2026-12-31 (30 days after the head commit)",
    )
    parser.add_argument("--by", default="", metavar="NAME", help="who decides (Git's user)")


def run(arguments: argparse.Namespace) -> int:
    """Write the waiver, say what it says and what to do with it."""
    from gitops import log
    from gitops.flow.waiving import read_today, waive
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ)
    waived = waive(
        workspace,
        workspace.model(arguments.model),
        reason=arguments.reason,
        by=arguments.by,
        expires=arguments.expires,
        today=read_today(),
    )
    for line in render_waived(waived):
        log.say(line)
    return ExitCode.DONE


def render_waived(waived: Waived) -> list[str]:
    """Return what was recorded, and the commands that bring it to the reviewers."""
    from gitops.plan import show

    waiver, verdict = waived.waiver, waived.waiver.verdict
    return [
        f"{waiver.model}: {verdict.outcome}: {show(verdict.reason)}",
        f"waives: {show(', '.join(verdict.findings))}",
        f"waived by {waiver.by} until {waiver.expires}: {waived.path}",
        "it counts once it is merged; commit it with the merge request:",
        f"  git add {waived.path}",
        f'  git commit -m "Waive the verdict on {waiver.model}"',
    ]
