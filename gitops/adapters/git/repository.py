"""Names of commits, files and tags come in; what Git holds under them goes out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.git.base import BaseSearch
from gitops.adapters.git.process import LOCAL_SECONDS, NETWORK_SECONDS, run_git
from gitops.change import Base, RawChange, parse_raw_diff
from gitops.errors import InputError, OutsideError
from gitops.pointer import POINTER_BYTES, SYMLINK, make_parents, show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ARGUMENT_BYTES = 100_000

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REVISION = re.compile(r"[^\x00-\x20\x7f:?*\[\\-][^\x00-\x20\x7f:?*\[\\]*")
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One entry of a commit's tree.

    Attributes:
        path: from the root of the repository.
        mode: six octal digits.
        type: `blob`, `tree`, or `commit` for a submodule.
        id: object id; for a folder it stands for everything below.
        size: bytes of a blob, 0 where it was not asked for.
    """

    path: str
    mode: str
    type: str
    id: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag and the commit (or other object) that it finally names."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True)
class GitRepository:
    """One repository with a work tree.

    Every method raises InputError for what was asked wrongly or is not there, and OutsideError
    when git does not finish in time or a remote fails.

    Attributes:
        path: root of the work tree.
        environ: environment of the git processes, hardened before use.
    """

    path: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    # Objects of Git never change: what was read once is not asked again.
    _entries: dict[tuple[str, str], TreeEntry | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _blobs: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def find(cls, start: Path) -> GitRepository:
        """Return the repository that a folder is in."""
        if not start.is_dir():
            raise InputError("there is no such folder", where=str(start))
        try:
            _, output = run_git(start, ("rev-parse", "--show-toplevel"), environ=os.environ)
        except InputError as error:
            hint = "run it inside a Git work tree, or make one: `git init`"
            raise InputError(error.what, where=str(start), hint=error.hint or hint) from error
        return cls(Path(os.fsdecode(output.removesuffix(b"\n"))))

    def read_commit(self, revision: str) -> str:
        """Return the full id of the commit that a revision names."""
        found = self.find_commit(revision)
        if found is None:
            raise InputError(
                f"{revision!r} is not a commit of this repository",
                where=str(self.path),
                hint="see what there is: `git log --all --oneline`, or fetch it: `git fetch`",
            )
        return found

    def read_head_branch(self) -> str | None:
        """Return the name of the branch checked out, None when HEAD is detached."""
        code, output = self._run("symbolic-ref", "--quiet", "HEAD", allowed=(0, 1))
        return _text(output).strip().removeprefix("refs/heads/") if code == 0 else None

    def read_parents(self, commit: str) -> tuple[str, ...]:
        """Return the parents that a commit names, even those that a shallow clone left out."""
        header, _, _ = self._read_commit_object(commit).partition("\n\n")
        lines = (line.partition(" ") for line in header.splitlines())
        return tuple(value for key, _, value in lines if key == "parent")

    def read_message(self, commit: str) -> str:
        """Return the whole message of a commit."""
        return self._read_commit_object(commit).partition("\n\n")[2]

    def read_committed_at(self, commit: str) -> int:
        """Return when a commit says it was made, in seconds since 1970."""
        match = re.search(
            r"^committer .* (\d+) [+-]\d{4}$", self._read_commit_object(commit), re.MULTILINE
        )
        if match is None:
            raise InputError("the commit has no date", where=commit)
        return int(match[1])

    def read_tags(self, pattern: str) -> tuple[Tag, ...]:
        """Return the tags whose names match a pattern such as `fuel@v*`, sorted by name."""
        layout = "%(refname:strip=2)%00%(objectname)%00%(*objectname)"
        output = self._read("for-each-ref", f"--format={layout}", "--", f"refs/tags/{pattern}")
        rows = (line.split("\0") for line in _text(output).splitlines())
        return tuple(Tag(name=name, commit=peeled or own) for name, own, peeled in rows)

    def read_uncommitted(self) -> tuple[str, ...]:
        """Return the paths that differ from HEAD, staged or not, and the untracked ones."""
        output = self._read(
            "status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty"
        )
        return tuple(record[3:] for record in _records(output))

    def is_clean(self) -> bool:
        """Tell whether the work tree is exactly HEAD, with nothing untracked."""
        return not self.read_uncommitted()

    def is_shallow(self) -> bool:
        """Tell whether part of the history was left out when the repository was cloned."""
        return self._read("rev-parse", "--is-shallow-repository").strip() == b"true"

    def read_changes(self, base: str | None, head: str) -> tuple[RawChange, ...]:
        """Return what differs between two commits, renames found; without a base, every file."""
        old = _EMPTY_TREES[len(_sha(head))] if base is None else _sha(base)
        options = ("-r", "--raw", "-z", "-M", "-l400", "--ignore-submodules=none")
        return parse_raw_diff(
            self._read("diff-tree", *options, "--end-of-options", old, head, "--")
        )

    def read_tree(self, commit: str, paths: Iterable[str] = ()) -> tuple[TreeEntry, ...]:
        """Return every file at or below the given paths (all files without any), sorted."""
        return tuple(self._list_tree(commit, paths, "-r"))

    def read_entries(self, commit: str, paths: Iterable[str]) -> dict[str, TreeEntry]:
        """Return the entry of each path itself, a file or a folder, that is in a commit."""
        wanted = set(paths)
        unknown = sorted(path for path in wanted if (commit, path) not in self._entries)
        if unknown:
            listed = {entry.path: entry for entry in self._list_tree(commit, unknown, "-t", "-l")}
            self._entries.update({(commit, path): listed.get(path) for path in unknown})
        found = ((path, self._entries[commit, path]) for path in wanted)
        return {path: entry for path, entry in found if entry is not None}

    def read_modes(self, commit: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the mode of each path, and of each folder above it, that is in a commit."""
        wanted = {part for path in paths for part in (path, *make_parents(path))}
        return {path: entry.mode for path, entry in self.read_entries(commit, wanted).items()}

    def read_file(self, commit: str, path: str, *, limit: int = POINTER_BYTES) -> bytes | None:
        """Return the content of one file, None when the commit has no such file."""
        return self.read_files(commit, (path,), limit=limit).get(path)

    def read_files(
        self, commit: str, paths: Iterable[str], *, limit: int = POINTER_BYTES
    ) -> dict[str, bytes]:
        """Return the content of each file that is there, in two processes, however many.

        Raises:
            InputError: one is larger than `limit` bytes, or a symbolic link.
        """
        blobs = {
            path: entry
            for path, entry in self.read_entries(commit, paths).items()
            if entry.type == "blob"
        }
        for entry in blobs.values():
            _refuse_blob(entry, limit)
        contents = self._read_blobs({entry.id for entry in blobs.values()})
        return {path: contents[entry.id] for path, entry in blobs.items()}

    def find_merge_base(self, one: str, other: str) -> Base:
        """Return the commit where two lines of history parted, or a base without a commit."""
        pair = (_sha(one), _sha(other))
        code, output = self._run("merge-base", *pair, allowed=(0, 1))
        if code:
            return Base(commit=None, reason="the two histories have no commit in common")
        return Base(commit=_text(output).strip(), reason="where the two histories part")

    def find_base(self, head: str, target: str, *, fetch: bool, remote: str = "origin") -> Base:
        """Choose the commit to compare `head` with; without one, everything counts as changed.

        A full id is the base itself. A name is a branch, on the remote if it is known there: the
        base is where `head` left it, or, if `head` is its tip, the parent. Only what is missing is
        fetched, and only with `fetch`.
        """
        search = BaseSearch(repository=self, head=_sha(head), remote=remote if fetch else None)
        return search.find(target)

    def find_commit(self, revision: str) -> str | None:
        """Return the full id of the commit that a revision names, None when there is none."""
        if not _REVISION.fullmatch(revision):
            raise InputError(f"{revision!r} cannot name a commit", hint="give a branch, tag or id")
        command = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        code, output = self._run(*command, allowed=(0, 1, 128))
        return _text(output).strip() if code == 0 else None

    def find_last_change(self, commit: str, paths: Sequence[str]) -> str | None:
        """Return the last commit up to this one that changed any of these paths, None without one."""
        command = ("rev-list", "--max-count=1", "--end-of-options", _sha(commit), "--", *paths)
        return _text(self._read(*command)).strip() or None

    def is_on_remote(self, commit: str, *, remote: str = "origin") -> bool:
        """Tell whether a branch of the remote contains a commit, as far as this clone knows."""
        command = ("for-each-ref", "--count=1", f"--contains={_sha(commit)}")
        return bool(self._read(*command, f"refs/remotes/{remote}/").strip())

    def fetch_commit(self, commit: str, *, remote: str = "origin") -> str:
        """Return the full id of a commit, fetched if a shallow clone left it out."""
        if self.find_commit(commit) is None and self.is_shallow():
            self.fetch(remote, [_sha(commit)], options=("--depth=1",))
        return self.read_commit(commit)

    def fetch(self, remote: str, wants: Sequence[str], *, options: Sequence[str] = ()) -> None:
        """Fetch refspecs or full ids, the remote's usual ones without any; no tags, no submodules.

        Raises OutsideError when that fails.
        """
        quiet = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        command = ("fetch", *quiet, *options, "--end-of-options", remote, *wants)
        try:
            self._run(*command, seconds=NETWORK_SECONDS)
        except InputError as error:
            hint = f"look at the remote: `git ls-remote {remote}`"
            raise OutsideError(error.what, where=error.where, hint=hint) from error

    def _read_commit_object(self, commit: str) -> str:
        return _text(self._read("cat-file", "commit", _sha(commit)))

    def _list_tree(self, commit: str, paths: Iterable[str], *options: str) -> Iterator[TreeEntry]:
        for batch in _batches(paths):
            command = ("ls-tree", "-z", "--full-tree", *options, _sha(commit), "--", *batch)
            yield from map(_parse_entry, _records(self._read(*command)))

    def _read_blobs(self, ids: set[str]) -> dict[str, bytes]:
        wanted = "".join(f"{blob}\n" for blob in ids - self._blobs.keys()).encode()
        output = self._run("cat-file", "--batch", stdin=wanted)[1] if wanted else b""
        fresh = dict(_parse_blobs(output))
        self._blobs.update({i: blob for i, blob in fresh.items() if len(blob) <= POINTER_BYTES})
        return {blob: fresh[blob] if blob in fresh else self._blobs[blob] for blob in ids}

    def _read(self, *arguments: str) -> bytes:
        return self._run(*arguments)[1]

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        allowed: tuple[int, ...] = (0,),
        seconds: float = LOCAL_SECONDS,
    ) -> tuple[int, bytes]:
        return run_git(
            self.path,
            arguments,
            environ=self.environ,
            stdin=stdin,
            allowed=allowed,
            seconds=seconds,
        )


def _sha(text: str) -> str:
    if not _SHA.fullmatch(text):
        raise InputError(f"{text!r} is not the full id of a commit", hint="give all its digits")
    return text


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _records(output: bytes) -> list[str]:
    return output.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of paths that fit on a command line; one empty list for no paths at all."""
    batch: list[str] = []
    length = 0
    for path in paths:
        if length > ARGUMENT_BYTES:
            yield batch
            batch, length = [], 0
        batch.append(path)
        length += 4 * len(path)
    yield batch


def _parse_entry(record: str) -> TreeEntry:
    description, _, path = record.partition("\t")
    mode, kind, blob, *size = description.split()
    known = int(size[0]) if size and size[0] != "-" else 0
    return TreeEntry(path=path, mode=mode, type=kind, id=blob, size=known)


def _refuse_blob(entry: TreeEntry, limit: int) -> None:
    where = show_path(entry.path)
    if entry.mode == SYMLINK:
        raise InputError("it is a symbolic link", where=where, hint="put a real file in its place")
    if entry.size > limit:
        raise InputError(
            f"it has {entry.size:,} bytes, more than the {limit:,} allowed", where=where
        )


def _parse_blobs(output: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield id and content of each blob in the output of `git cat-file --batch`."""
    start = 0
    while start < len(output):
        end = output.index(b"\n", start)
        header = output[start:end].decode().split()
        if len(header) != 3:
            raise InputError(f"Git has lost an object: {' '.join(header)}", hint="git fsck")
        stop = end + 1 + int(header[2])
        yield header[0], output[end + 1 : stop]
        start = stop + 1
