"""What was read about a repository and its GitLab project: the values that the checks look at.

What could not be read is a value too, and never passes for good news.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from gitops.forge import Project, ProtectedBranch, ResourceGroup, TokenFacts, Variable


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The end of one check: one sentence, and the next step unless all is well."""

    name: str
    level: Level
    says: str
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A fact that could not be read, and what would make it readable."""

    reason: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Versions of what runs here; git is None when it is not installed."""

    python: tuple[int, ...]
    git: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigState:
    """gitops.yaml at one commit.

    Attributes:
        where: the commit in words.
        present: whether there is one.
        problem: what is wrong with it, empty when nothing is.
        hint: what its reader suggests.
    """

    where: str
    present: bool
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """The default DVC remote of the target branch, asked for the data of its models.

    Attributes:
        address: its name and URL, without credentials.
        pointers: how many pointers were looked up on it.
        missing: objects that they name and it does not have.
        problem: why it could not be asked, empty when it answered.
        hint: what its reader suggests.
    """

    address: str
    pointers: int = 0
    missing: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DvcConfigState:
    """What stands in the way of the target branch's `.dvc/config`.

    Attributes:
        tracked_local: whether the repository carries a `.dvc/config.local`.
        changed: whether the checked-out commit has another `.dvc/config` than the target branch.
        overridden: names, such as `remote sample: url`, that this machine's own file replaces.
    """

    tracked_local: bool
    changed: bool
    overridden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFacts:
    """What GitLab said about a project, as far as its token may ask.

    Attributes:
        branch: the target branch.
        today: the day on which it was asked.
    """

    branch: str
    today: date
    project: Project | Unread
    token: TokenFacts | Unread
    branches: tuple[ProtectedBranch, ...] | Unread
    variables: tuple[Variable, ...] | Unread
    groups: tuple[ResourceGroup, ...] | Unread


def make_ok(name: str, says: str) -> Advice:
    """Say that all is well."""
    return Advice(name=name, level=Level.OK, says=says)


def make_warning(name: str, says: str, step: str) -> Advice:
    """Say what could be better, and how."""
    return Advice(name=name, level=Level.WARN, says=says, next=step)


def make_failure(name: str, says: str, step: str) -> Advice:
    """Say what is wrong, and how to mend it."""
    return Advice(name=name, level=Level.FAIL, says=says, next=step)


def make_unknown(name: str, fact: Unread) -> Advice:
    """Say what could not be found out, and how it could be."""
    return Advice(name=name, level=Level.UNKNOWN, says=fact.reason, next=fact.next)
