"""Everything that can go wrong comes in as an exception of this family and goes out as an exit code.

    GitopsError
    ├── RefusedError     1  the gate said no
    ├── InputError       2  bad input: a file, an option, the state of the repository
    ├── OutsideError     4  the outside world failed: worth a retry
    └── UndecidedError   5  the gate cannot tell: a person decides

Anything else that escapes is a bug (3); Ctrl-C is 130. A failed gate is a verdict, not an exception;
`RefusedError` is for a command that is asked to go on without a passing verdict.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command: an interface that CI rules rely on."""

    DONE = 0
    GATE_SAID_NO = 1
    BAD_INPUT = 2
    BUG = 3
    OUTSIDE_WORLD = 4
    UNDECIDED = 5
    INTERRUPTED = 130


class GitopsError(Exception):
    """A failure that a person can act on: what happened, where, and the next step.

    Args:
        what: one sentence, without trailing newline.
        where: the file, commit or address concerned; empty when `what` already says it.
        hint: the next step, often a command to run.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Return the sentence with its place, e.g. ``data/cars.csv.dvc: the file is empty``."""
        return f"{self.where}: {self.what}" if self.where else self.what


class RefusedError(GitopsError):
    """The gate said no, or nothing says yes, to what a command was asked to ship."""

    exit_code = ExitCode.GATE_SAID_NO


class InputError(GitopsError):
    """What was given cannot be used as it is; running again will not help."""

    exit_code = ExitCode.BAD_INPUT


class OutsideError(GitopsError):
    """A remote, a server or a disk failed; running again may help."""

    exit_code = ExitCode.OUTSIDE_WORLD


class UndecidedError(GitopsError):
    """The evidence does not suffice; a person has to decide."""

    exit_code = ExitCode.UNDECIDED
