"""Check this repository, its data remote and its GitLab project, and say what to change.

GitLab is asked when there is a token in GITOPS_GITLAB_TOKEN (or in the file that GITOPS_GITLAB_TOKEN_FILE
names); a maintainer's sees all. Without one the other half is said to be unknown, and unknown is never well.
Exit codes: 0 all is well; 2 something is to be changed or unknown; 4 GitLab does not answer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode, GitopsError, InputError, OutsideError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gitops.doctor.facts import Advice

_HALF = "gitlab"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gitlab, --project, --json."""
    parser.add_argument(
        "--gitlab", metavar="URL", default="", help="GitLab's address (default: $CI_SERVER_URL)"
    )
    parser.add_argument(
        "--project", metavar="ID|PATH", default="", help="the project (default: origin's)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Print the advice of every check; return the exit code."""
    import sys

    from gitops.commands.plan import print_json
    from gitops.doctor.facts import Level
    from gitops.flow.examining import examine_desk

    local = examine_desk(Path.cwd(), os.environ)
    remote, silent = _examine_project(arguments)
    advice = (*local, *remote)
    if arguments.json:
        print_json({"checks": [_to_json(one) for one in advice]})
    else:
        sys.stdout.write("\n".join(render(advice)) + "\n")
    if silent:
        return ExitCode.OUTSIDE_WORLD
    well = all(one.level is Level.OK for one in advice)
    return ExitCode.DONE if well else ExitCode.BAD_INPUT


def _examine_project(arguments: argparse.Namespace) -> tuple[tuple[Advice, ...], bool]:
    """Return the advice about the project, and whether GitLab was silent."""
    from gitops.doctor.facts import Unread, make_unknown

    try:
        return _ask_project(arguments), False
    except InputError as error:
        step = error.hint or "gitops doctor --help"
        return (make_unknown(_HALF, Unread(reason=f"not asked: {error}", next=step)),), False
    except OutsideError as error:
        fact = Unread(reason=f"no answer: {error}", next="try again; check the address")
        return (make_unknown(_HALF, fact),), True


def _ask_project(arguments: argparse.Namespace) -> tuple[Advice, ...]:
    from datetime import UTC, datetime

    from gitops.adapters.gitlab import connect
    from gitops.doctor.project import check_project
    from gitops.flow.credentials import GITLAB_TOKEN, need_secret
    from gitops.flow.examining import read_project_facts

    token = need_secret(os.environ, GITLAB_TOKEN)
    address = arguments.gitlab or os.environ.get("CI_SERVER_URL", "")
    if not address:
        raise InputError("GitLab's address is not known", hint="give --gitlab https://HOST")
    project = arguments.project or _find_project(address)
    today = datetime.now(tz=UTC).date()
    with connect(address, token) as connection:
        facts = read_project_facts(connection, project, _find_branch(), today)
    return check_project(facts)


def _find_project(address: str) -> str:
    from gitops.adapters.git.repository import GitRepository
    from gitops.adapters.publish import read_origin
    from gitops.flow.examining import find_project

    if path := os.environ.get("CI_PROJECT_PATH", ""):
        return path
    origin = read_origin(GitRepository.find(Path.cwd()).path)
    if path := find_project(origin, address):
        return path
    raise InputError("which project is not known", hint="give --project group/name")


def _find_branch() -> str:
    from gitops.flow.workspace import open_workspace

    try:
        return open_workspace(Path.cwd(), os.environ).request.target_branch
    except GitopsError:
        # What is wrong here has been said by the checks of the repository.
        return "main"


def render(advice: Sequence[Advice]) -> list[str]:
    """Return a line for each check, and one for the next step unless all is well."""
    from gitops import log
    from gitops.plan import show

    colours = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "cyan"}
    lines = []
    for one in advice:
        level = log.paint(f"{one.level:<8}", colours[one.level], on=log.has_colour())
        lines.append(f"{level}{one.name:<17} {show(one.says)}")
        lines += [f"{'':<25} next: {show(one.next)}"] if one.next else []
    return lines


def _to_json(advice: Advice) -> dict[str, str]:
    return {
        "name": advice.name,
        "level": advice.level.value,
        "says": advice.says,
        "next": advice.next,
    }
