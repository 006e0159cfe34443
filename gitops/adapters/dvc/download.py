"""A remote and pointers come in; what is missing there, or the bytes that are there, go out."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gitops.adapters.dvc.objects import open_objects
from gitops.adapters.dvc.remote import Remote, refuse_symlinks
from gitops.adapters.dvc.source import Source, disk_errors
from gitops.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops.pointer import Pointer

# How often to give way to a process that writes the same folder.
_RACES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingObject:
    """An object that a pointer needs and that the remote does not have.

    Attributes:
        pointer: who needs it.
        object: its name: the md5 of its bytes, `.dir` added for a folder's listing.
        reason: one clause for a reader, e.g. "it is not on the remote".
    """

    pointer: Pointer
    object: str
    reason: str


@disk_errors()
def find_missing(
    remote: Remote, pointers: Iterable[Pointer], *, cache: Path, timeout: float
) -> tuple[MissingObject, ...]:
    """Return the objects that the pointers need and that are not on the remote.

    A listing on the remote proves nothing about its files: each of them is looked for.

    Args:
        remote: where to look.
        pointers: parsed pointers.
        cache: DVC's cache folder; listings are taken from there when it has them.
        timeout: seconds.

    Raises:
        OutsideError: the remote cannot tell.
        InputError: a listing is hostile or broken.
    """
    with open_objects(remote, cache, timeout) as objects:
        source = Source(remote=remote, objects=objects, cache=cache)
        return _find_missing(source, tuple(pointers))


@disk_errors()
def fetch(
    remote: Remote,
    pointer: Pointer,
    *,
    cache: Path,
    repository: Path,
    destination: Path,
    timeout: float,
) -> Path:
    """Write what a pointer points at to `destination`, from the cache or else from the remote.

    The bytes are complete and have been checked by hash before they appear there; what was there
    before is replaced.

    Raises:
        OutsideError: an object is missing, damaged, or did not arrive within `timeout` seconds.
        InputError: a link leads out of the repository; a listing is hostile or broken.
    """
    for path in (destination, cache):
        refuse_symlinks(repository, path, hint="remove the link, then run again")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with (
        open_objects(remote, cache, timeout) as objects,
        TemporaryDirectory(dir=destination.parent, prefix=".gitops-") as staging,
    ):
        source = Source(remote=remote, objects=objects, cache=cache)
        new = Path(staging, "new")
        if pointer.directory:
            _write_folder(source, pointer, new)
        else:
            source.write([pointer.md5], [new])
        _put_in_place(new, destination, Path(staging))
    return destination


def _find_missing(source: Source, pointers: Sequence[Pointer]) -> tuple[MissingObject, ...]:
    sizes = {pointer.md5: None if pointer.directory else pointer.size for pointer in pointers}
    absent = source.objects.find_missing(sizes)
    files = [
        (pointer, entry)
        for pointer in pointers
        if pointer.directory and pointer.md5 not in absent
        for entry in source.read_listing(pointer)
    ]
    unlisted = source.objects.find_missing(dict.fromkeys(entry.md5 for _, entry in files))
    return tuple(
        MissingObject(pointer=pointer, object=pointer.md5, reason=absent[pointer.md5])
        for pointer in pointers
        if pointer.md5 in absent
    ) + tuple(
        MissingObject(
            pointer=pointer, object=entry.md5, reason=f"{entry.path}: {unlisted[entry.md5]}"
        )
        for pointer, entry in files
        if entry.md5 in unlisted
    )


def _write_folder(source: Source, pointer: Pointer, folder: Path) -> None:
    entries = source.read_listing(pointer)
    folder.mkdir()
    targets = [folder / entry.path for entry in entries]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    source.write([entry.md5 for entry in entries], targets)


def _put_in_place(new: Path, destination: Path, staging: Path) -> None:
    """Rename; a folder in the way, perhaps another process's a moment ago, moves aside first."""
    for attempt in range(_RACES):
        if new.is_dir() and os.path.lexists(destination):
            with suppress(FileNotFoundError):
                destination.rename(staging / f"old{attempt}")
        try:
            new.replace(destination)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            return
    raise OutsideError("another process keeps writing here", where=str(destination))
