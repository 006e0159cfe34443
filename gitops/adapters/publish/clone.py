"""A remote's address comes in; a bare repository of our own that talks to it goes out.

No checkout, hook, attribute or template of anybody's takes part in what happens here.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.publish.remote import (
    GitRemote,
    make_environment,
    read_last_lines,
    split_credentials,
)
from gitops.errors import InputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from git import Repo

_REMOTE = "target"
# What git says when two pushes hold each other's lock: nobody won, so the next attempt may.
_CONTENDED = re.compile(r"cannot lock ref|\.lock'|failed to update ref|transaction", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What the remote said to a push: not proof of anything, only the reason when there is none."""

    complaint: str

    @property
    def contended(self) -> bool:
        """Tell whether another push was in the way at that moment."""
        return bool(_CONTENDED.search(self.complaint))


@contextmanager
def open_clone(remote: GitRemote) -> Iterator[Clone]:
    """Make a clone that lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="gitops-target-") as folder:
        clone = Clone(remote, Path(folder))
        try:
            yield clone
        finally:
            clone.repo.close()


class Clone:
    """A bare repository for the target branch, a model's tags, and what is to be pushed."""

    def __init__(self, remote: GitRemote, folder: Path) -> None:
        self.remote, self.folder = remote, folder
        self.url, credentials = split_credentials(remote.url)
        self.branch_ref = f"refs/heads/{remote.branch}"
        bare = folder / "target.git"
        bare.mkdir()
        self.repo = _init(bare, make_environment(remote.environ, credentials, bare))
        if self.url.startswith("-") or self.fails("check-ref-format", self.branch_ref):
            raise InputError(f"{remote.branch!r} at {self.url!r} is not a usable target")
        self.repo.create_remote(_REMOTE, self.url)

    def run(self, *arguments: str) -> str:
        """Run one git command that stays in this folder; return what it printed."""
        return str(self.repo.git.execute(["git", *arguments]))

    def fails(self, *arguments: str) -> bool:
        """Run one git command that answers by its exit code."""
        status, _, _ = self.repo.git.execute(
            ["git", *arguments], with_exceptions=False, with_extended_output=True
        )
        return bool(status)

    def read_blob(self, sha: str) -> bytes:
        """Return the bytes of an object, through the one process that GitPython keeps for it."""
        return bytes(self.repo.git.get_object_data(sha)[3])

    def is_ancestor(self, commit: str, tip: str) -> bool:
        """Tell whether `tip` contains `commit`; a commit that is not here is not contained."""
        return not self.fails("merge-base", "--is-ancestor", commit, tip)

    def read_refs(self, *names: str) -> dict[str, str]:
        """Ask the remote which objects these full names point to."""
        lines = self._ask("ls-remote", "--", _REMOTE, *names).splitlines()
        pairs = (line.partition("\t") for line in lines)
        return {name: sha for sha, _, name in pairs if name in names}

    def fetch(self, *names: str) -> None:
        """Bring these names, or patterns of them, as the remote has them now."""
        specs = (f"+{name}:{name}" for name in names)
        self._ask("fetch", "--quiet", "--no-tags", "--prune", "--", _REMOTE, *specs)

    def push(self, refs: Sequence[tuple[str, str]]) -> Pushed:
        """Push all of these (full name, object) or none of them."""
        from git import GitCommandError

        options = ("--atomic", "--no-verify", "--porcelain", "--no-follow-tags")
        specs = (f"{sha}:{name}" for name, sha in refs)
        # Not `Remote.push`: it drops the lines on which the remote says why it refused.
        command = ["git", "push", *options, "--", _REMOTE, *specs]
        try:
            self.repo.git.execute(command, kill_after_timeout=self.remote.timeout)
        except GitCommandError as error:
            return Pushed(complaint=read_last_lines(f"{error.stdout}\n{error.stderr}"))
        return Pushed(complaint="")

    def _ask(self, *arguments: str) -> str:
        """Run one exchange with the remote; raise OutsideError when it fails or takes too long."""
        from git import GitCommandError

        try:
            command = ["git", *arguments]
            return str(self.repo.git.execute(command, kill_after_timeout=self.remote.timeout))
        except GitCommandError as error:
            said = read_last_lines(str(error.stderr))
            raise OutsideError(
                f"the remote does not answer: {said}",
                where=self.url,
                hint="check the network and the credentials, then run it again",
            ) from None


def _init(bare: Path, environment: dict[str, str]) -> Repo:
    from git import Git, Repo

    opener = Git(bare)
    opener.update_environment(**environment)
    opener.execute(["git", "init", "--quiet", "--bare", "--template=", "."])
    repo = Repo(bare)
    repo.git.update_environment(**environment)
    return repo
