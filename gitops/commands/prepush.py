"""Before a push: warn when changed data is not on its remote, and show what a merge request will run.

For Git's pre-push hook, which names what is pushed on standard input, and for pre-commit's. It only
warns: trouble with a network never keeps anybody from pushing. Exit code 2 only with --strict, when
data is missing or something is refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode, GitopsError, InputError

if TYPE_CHECKING:
    import argparse

    from gitops.flow.pushing import Forecast, Push


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --strict, and the two words that Git gives to its hook."""
    parser.add_argument(
        "--strict", action="store_true", help="refuse a push whose data is missing or refused"
    )
    parser.add_argument("remote", nargs="?", help="name of the Git remote, as Git tells it")
    parser.add_argument("url", nargs="?", help="its address, as Git tells it")


def run(arguments: argparse.Namespace) -> int:
    """Forecast every pushed branch; return 2 when --strict finds something, else 0."""
    from gitops.flow.pushing import read_pushes

    stdin = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    pushes = read_pushes(os.environ, stdin)
    answers = [_look(push) for push in pushes]
    found = arguments.strict and not all(answers)
    return ExitCode.BAD_INPUT if found else ExitCode.DONE


def _look(push: Push) -> bool:
    """Show what one push leads to; tell whether nothing stands against it."""
    from gitops import log
    from gitops.flow.pushing import forecast
    from gitops.flow.workspace import open_workspace

    try:
        workspace = open_workspace(Path.cwd(), os.environ, head=push.commit)
        target = workspace.request.target_branch
        base = workspace.repository.find_base(workspace.request.head, target, fetch=False)
        found = forecast(workspace, base)
    except GitopsError as error:
        log.warn(f"{push.branch}: {error}")
        log.say(f"  hint: {error.hint}" if error.hint else "  hint: gitops plan")
        # Trouble with the world is no finding; something wrong with what is pushed is.
        return not isinstance(error, InputError)
    _say(push, found)
    return not found.missing and not found.plan.is_refused


def _say(push: Push, found: Forecast) -> None:
    from gitops import log
    from gitops.commands.plan import say_plan
    from gitops.plan import show

    log.say(f"a merge request of {show(push.branch)} would do this:")
    say_plan(found.plan)
    for missing in found.missing:
        log.warn(f"{show(missing.where)}: {missing.what}")
        log.say(f"  hint: {missing.hint}")
    if found.unasked:
        log.warn(f"the data remote was not asked: {show(found.unasked)}")
