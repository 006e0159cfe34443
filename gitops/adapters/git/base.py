"""A commit and a branch or id come in; the base to compare it with goes out, or why there is none.

No base never means nothing changed. It means that everything counts as changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitops.change import Base
from gitops.errors import GitopsError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops.adapters.git.repository import GitRepository

DEEPEN_STEPS = ("--deepen=50", "--deepen=200", "--deepen=1000", "--unshallow")

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(
    r"(?!.*(?:\.\.|@\{|//|/\.|\.lock(?:/|$)|[./]$))"
    r"[^\x00-\x20\x7f:?*\[\\~^./-][^\x00-\x20\x7f:?*\[\\~^]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSearch:
    """One search for a base; what it could not fetch is noted and becomes part of the reason.

    Attributes:
        repository: where to look.
        head: full id of the commit to compare.
        remote: name of the remote to fetch what is missing from; None fetches nothing.
        failures: why fetches failed, in order.
    """

    repository: GitRepository
    head: str
    remote: str | None
    failures: list[str] = field(default_factory=list)

    def find(self, target: str) -> Base:
        """Search for the base that a full id or the name of a branch stands for."""
        if target and not target.strip("0"):
            return self._give_up("no earlier commit is named (all zeros)")
        if _SHA.fullmatch(target):
            return self._find_given(target)
        if not _BRANCH.fullmatch(target):
            raise InputError(f"{target!r} is not a branch name", hint="give a branch or a full id")
        return self._find_parting(target)

    def _find_given(self, sha: str) -> Base:
        found = Base(commit=sha, reason=f"the given commit {sha[:12]}")

        def look() -> Base | None:
            return found if self.repository.find_commit(sha) else None

        base = look()
        if base is None and self._fetch(*self._depth("--depth=1"), wants=[sha]):
            base = look()
        base = base or self._deepen([self.head], look)
        return base or self._give_up(f"the given commit {sha[:12]} is not in this clone")

    def _find_parting(self, branch: str) -> Base:
        tracking = f"refs/remotes/{self.remote or 'origin'}/{branch}"
        refspec = f"+refs/heads/{branch}:{tracking}"
        names = (tracking, f"refs/heads/{branch}", branch)
        tip = self._find_first(names)
        if tip is None and self._fetch(*self._depth("--depth=50"), wants=[refspec]):
            tip = self._find_first(names)
        if tip is None:
            return self._give_up(f"there is no branch {branch} here")
        if tip == self.head:
            return self._find_parent(branch)

        def look() -> Base | None:
            base = self.repository.find_merge_base(self.head, tip)
            return (
                Base(commit=base.commit, reason=f"where it left {branch}") if base.commit else None
            )

        base = look() or self._deepen([refspec, self.head], look)
        return base or self._give_up(f"no commit in common with {branch} was found")

    def _find_parent(self, branch: str) -> Base:
        parents = self.repository.read_parents(self.head)
        if not parents:
            return self._give_up("this is the first commit")
        base = self._find_given(parents[0])
        reason = f"the commit before it, because it is the tip of {branch}"
        return Base(commit=base.commit, reason=reason) if base.commit else base

    def _deepen(self, wants: Sequence[str], look: Callable[[], Base | None]) -> Base | None:
        """Fetch ever more of a shallow history until `look` finds its base in it."""
        for step in DEEPEN_STEPS:
            if not self.remote or not self.repository.is_shallow():
                return None
            # A server may refuse to be asked for a commit by its id: then its branches must do.
            if not self._fetch(step, wants=wants) and not self._fetch(step, wants=[]):
                return None
            base = look()
            if base:
                return base
        return None

    def _fetch(self, *options: str, wants: Sequence[str]) -> bool:
        if self.remote is None:
            return False
        try:
            self.repository.fetch(self.remote, wants, options=options)
        except GitopsError as error:
            self.failures.append(error.what)
            return False
        return True

    def _depth(self, option: str) -> tuple[str, ...]:
        """Return a depth for a shallow clone; given to a full one, it would cut its history."""
        return (option,) if self.remote and self.repository.is_shallow() else ()

    def _find_first(self, names: Sequence[str]) -> str | None:
        return next(filter(None, map(self.repository.find_commit, names)), None)

    def _give_up(self, why: str) -> Base:
        failed = f" ({self.failures[-1]})" if self.failures else ""
        return Base(commit=None, reason=f"{why}{failed}, so everything counts as changed")
