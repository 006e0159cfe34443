"""Tell a merge request what the gate said: one note, updated in place, and the status of its commit.

Reads the documents of the gate as they are and judges nothing. The token comes from
GITOPS_GITLAB_TOKEN, or from the file that GITOPS_GITLAB_TOKEN_FILE names; without one, as in the
pipeline of a fork, the note is printed. Exit codes: 0 pass, waived on GitLab or nothing to run, 1
fail or no verdict, 2 the plan refuses something, 5 undecided; a note that was not written does not
change them. 4: the status was not set, or GitLab did not tell whether somebody waives the verdict.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gitops.commands.plan import add_comparison, make
from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from gitops.adapters.ci import MergeRequestJob
    from gitops.flow.noting import Message

_FOR_A_MEMBER = """\
There is no token here, so nothing was written to the merge request. That is right for the pipeline
of a fork. A member of the project who has read the change starts one in the project itself:
merge request > Pipelines > Run pipeline."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what was planned."""
    add_comparison(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write note and status, or print what they would say; return the exit code of the verdict."""
    from gitops.adapters.ci import read_merge_request_job
    from gitops.flow.credentials import GITLAB_TOKEN, read_secret
    from gitops.flow.noting import post_message, read_message

    job = read_merge_request_job(os.environ)
    workspace, plan = make(arguments)
    message = read_message(workspace, plan)
    token = read_secret(os.environ, GITLAB_TOKEN)
    if not token:
        return _print(message, job)
    from gitops.adapters.gitlab import connect

    with connect(job.server, token) as connection:
        posted = post_message(connection, job, workspace, message)
    return _exit_code(posted)


def _print(message: Message, job: MergeRequestJob) -> int:
    from gitops import log

    sys.stdout.write(message.render(job))
    log.say(_FOR_A_MEMBER)
    return _exit_code(message)


def _exit_code(message: Message) -> int:
    from gitops.gate.verdict import Outcome

    if message.refusals:
        return ExitCode.BAD_INPUT
    if message.waived_by:
        return ExitCode.DONE
    codes = {Outcome.PASS: ExitCode.DONE, Outcome.INCONCLUSIVE: ExitCode.UNDECIDED}
    return codes.get(message.outcome, ExitCode.GATE_SAID_NO)
