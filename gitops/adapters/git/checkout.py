"""The address of a repository and the ids of commits come in; a repository that holds just those goes out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.git.process import run_git
from gitops.adapters.git.repository import GitRepository
from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ADDRESS = re.compile(r"(https?://[^/@\s]+/|ssh://|/|[\w.-]+@[\w.-]+:)[^\s]*")


def create_checkout(
    folder: Path, url: str, commits: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> GitRepository:
    """Make a repository in a folder and fetch into it; the work tree stays empty.

    With commits it gets just those, without their history; without any, all branches and tags.

    Raises:
        InputError: the address is none that a pod may fetch from.
        OutsideError: the remote failed, or does not have a commit.
    """
    if not _ADDRESS.fullmatch(url):
        # What stands before an @ could be a password.
        shown = re.sub(r"//.*@", "//***@", url)[:200]
        raise InputError("this is no address of a Git repository", where=shown)
    repository = GitRepository(folder, dict(os.environ if environ is None else environ))
    run_git(folder, ("init", "--quiet"), environ=repository.environ)
    run_git(folder, ("remote", "add", "--", "origin", url), environ=repository.environ)
    if commits:
        repository.fetch("origin", [*dict.fromkeys(commits)], options=("--depth=1",))
    else:
        everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        repository.fetch("origin", everything)
    return repository
