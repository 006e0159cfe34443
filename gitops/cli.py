"""Command-line arguments come in; one command runs; its exit code, or that of its error, goes out.

The only place where exceptions become exit codes. A command's module is imported when it is chosen.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gitops import __version__
from gitops.errors import ExitCode, GitopsError

_COMMANDS = (
    ("check", "plan, run, gate and report in one: what a merge request would be told"),
    ("plan", "what changed, so what must run, and why; trains nothing"),
    ("run", "train and score (experimental), or train, judge, release and roll out (production)"),
    ("gate", "judge the last run against the policy of the target branch"),
    ("report", "write the last verdict for a reviewer: Markdown, HTML, terminal"),
    ("waive", "record who decides to release a model that did not pass, and why"),
    ("note", "tell a merge request on GitLab: one note and one status"),
    ("release", "push a judged model, commit its pointer, tag it"),
    ("rollout", "serve a release beside the old one, compare row by row, switch"),
    ("schedule", "make Kubeflow's recurring runs those that gitops.yaml declares"),
    ("rollback", "go back to an earlier release, in Git and in service"),
    ("status", "what should serve, what does serve, and where it comes from"),
    ("fetch", "fetch what a commit's pointer names, proven by hash: the storage initializer"),
    ("serve", "serve one model bundle with KServe's protocols"),
    ("listen", "take GitLab's webhooks and start the gate's pipeline, kept outside a repository"),
    ("doctor", "check this repository and its GitLab project, and say what to change"),
    ("prepush", "before a push: is the changed data on its remote, and what will run?"),
)

_EPILOG = """\
Exit codes:
  0 done, or nothing to do     1 the gate said no        2 bad input
  3 a bug in gitops            4 the outside world failed: worth a retry
  5 the gate cannot tell: a person decides             130 interrupted

Start with:
  gitops plan     see what your branch would trigger
  gitops check    see what a reviewer would see
Each command explains itself: gitops COMMAND --help
"""


# What a disk says when it takes no more: nobody's bug, and worth a retry.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.BAD_INPUT, f"error: {message}\nhint: {self.prog} --help\n")


def make_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Build the parser; only the chosen command's module is imported, for its arguments."""
    parser = _Parser(
        prog="gitops",
        description="From a changed data pointer to a served model, with a gate that gates.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gitops {__version__}")
    parser.add_argument("-C", dest="directory", metavar="DIR", help="work in this folder")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in _COMMANDS:
        _add_command(subparsers, name, summary, is_chosen=name == chosen)
    return parser


def _add_command(
    subparsers: argparse._SubParsersAction[_Parser], name: str, summary: str, *, is_chosen: bool
) -> None:
    module = importlib.import_module(f"gitops.commands.{name}") if is_chosen else None
    command = subparsers.add_parser(
        name,
        help=summary,
        description=module.__doc__ if module else summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if module:
        module.add_arguments(command)
        command.set_defaults(run=module.run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    names = {name for name, _ in _COMMANDS}
    chosen = next((word for word in words if word in names), None)
    try:
        parsed = make_parser(chosen).parse_args(words)
        if parsed.directory:
            _enter(parsed.directory)
        return int(parsed.run(parsed))
    except GitopsError as error:
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader, a pager or `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        return _report_disk(error) if error.errno in _DISK else _report_bug(error)
    except Exception as error:  # noqa: BLE001  # the one funnel: everything else is a bug of ours
        return _report_bug(error)


def _enter(directory: str) -> None:
    from gitops.errors import InputError

    if not Path(directory).is_dir():
        raise InputError("there is no such folder", where=directory)
    os.chdir(directory)


def _print_error(error: GitopsError) -> None:
    sys.stderr.write(f"error: {error}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")


def _report_disk(error: OSError) -> int:
    sys.stderr.write(
        f"error: {error.filename or 'disk'}: {error.strerror}\n"
        "hint: nothing half written is left behind; make room, then run it again\n"
    )
    return ExitCode.OUTSIDE_WORLD


def _report_bug(error: Exception) -> int:
    import traceback

    traceback.print_exception(error)
    sys.stderr.write(
        f"error: this is a bug in gitops {__version__}: {type(error).__name__}: {error}\n"
        "hint: please report it with the lines above; nothing was released\n"
    )
    return ExitCode.BUG
