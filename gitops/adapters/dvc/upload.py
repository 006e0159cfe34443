"""A folder comes in and becomes a pointer; its objects go out to the remote, with proof."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gitops.adapters.dvc.download import find_missing
from gitops.adapters.dvc.listing import Entry
from gitops.adapters.dvc.objects import copy_plain, is_intact, object_path, open_objects, read_hash
from gitops.adapters.dvc.source import (
    Source,
    disk_errors,
    put_into_cache,
    read_batches,
    read_entries,
)
from gitops.adapters.dvc.workspace import POINTER, open_workspace
from gitops.errors import InputError, OutsideError
from gitops.pointer import Pointer, parse_pointer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gitops.adapters.dvc.remote import Remote


@disk_errors()
def add_folder(
    folder: Path, *, cache: Path, target: str, timeout: float = 600
) -> tuple[Pointer, bytes]:
    """Add a folder to DVC's cache; return its pointer and the text of `<target>.dvc`.

    Args:
        folder: the folder, outside or inside the repository; it is copied, never touched.
        cache: DVC's cache folder.
        target: repository path that the pointer stands for, e.g. `data/models/fuel`.
        timeout: seconds.

    Raises:
        InputError: the folder is empty, or holds a link or anything else that is not a file.
        OutsideError: `dvc add` failed, or what it added is not what the folder holds.
    """
    name = target.rpartition("/")[2]
    # DVC believes what the cache has; with an empty cache of its own it hashes and writes it all.
    with open_workspace(None, None) as workspace:
        copied = _copy_folder(folder, workspace.folder / name)
        workspace.run_dvc("add", "--", name, timeout=timeout)
        content = (workspace.folder / f"{name}.dvc").read_bytes()
        pointer = parse_pointer(content, f"{target}.dvc")
        added = workspace.folder / ".dvc" / "cache"
        # DVC leaves some files out without a word: those below a `.dvc` or `.git`, for example.
        if _verify_cached(added, pointer) != copied:
            raise OutsideError("dvc add left files out, or changed them", where=str(folder))
        for md5 in {pointer.md5, *(entry.md5 for entry in copied)}:
            put_into_cache(object_path(added, md5), cache, md5)
    return pointer, content


@disk_errors()
def push(remote: Remote, pointer: Pointer, *, cache: Path, timeout: float) -> None:
    """Bring a pointer's objects from the cache to the remote; `prove` tells whether they arrived.

    Each of at most two DVC processes may take `timeout` seconds.

    Raises:
        InputError: an object is missing or damaged in the cache, so nothing is pushed.
        OutsideError: DVC failed, or took too long and was killed.
    """
    _verify_cached(cache, pointer)
    missing = {
        found.object for found in find_missing(remote, [pointer], cache=cache, timeout=timeout)
    }
    if not missing:
        return
    # Once a listing is there, DVC takes its files for there too: those it is told one by one.
    names = [pointer.md5] if pointer.md5 in missing else sorted(missing)
    with open_workspace(remote, cache) as workspace:
        workspace.write_pointer(names)
        workspace.run_dvc("push", POINTER, timeout=timeout)


@disk_errors()
def prove(remote: Remote, pointer: Pointer, *, cache: Path, timeout: float) -> None:
    """Read each of a pointer's objects back from the remote and hash it; return if all are right.

    Raises:
        OutsideError: an object is missing or damaged there, or the remote cannot tell.
        InputError: the listing is hostile or broken.
    """
    with open_objects(remote, cache, timeout) as objects:
        source = Source(remote=remote, objects=objects, cache=cache)
        _prove(source, [pointer.md5])
        if pointer.directory:
            _prove(source, [entry.md5 for entry in source.read_listing(pointer)])


def _prove(source: Source, names: Iterable[str]) -> None:
    for name, path in read_batches(source.objects, names):
        if path is not None and is_intact(path, name):
            continue
        at_hand = is_intact(object_path(source.cache, name), name)
        state = "is not there" if path is None else "has other bytes there than its name says"
        cure = "push it again" if path is None else "delete it there, then push it again"
        raise OutsideError(
            f"object {name} {state}",
            where=source.remote.address,
            hint=cure if at_hand else f"dvc add first, the cache lacks it too; then {cure}",
        )


def _verify_cached(cache: Path, pointer: Pointer) -> tuple[Entry, ...]:
    """Hash a pointer's objects in the cache; return the files of a folder, none for a file."""
    _verify_one(cache, pointer.md5, pointer)
    entries = read_entries(object_path(cache, pointer.md5), pointer) if pointer.directory else ()
    for entry in entries:
        _verify_one(cache, entry.md5, pointer)
    return entries


def _verify_one(cache: Path, name: str, pointer: Pointer) -> None:
    found = read_hash(object_path(cache, name))
    if found == name.removesuffix(".dir"):
        return
    state = "is missing from" if found is None else "is damaged in"
    raise InputError(
        f"object {name} {state} the DVC cache",
        where=pointer.path,
        hint=f"dvc add -- {shlex.quote(pointer.target)}",
    )


def _copy_folder(folder: Path, copy: Path) -> tuple[Entry, ...]:
    """Copy plain files only; return what was copied, as DVC's listing has to show it."""
    if folder.is_symlink() or not folder.is_dir():
        raise InputError("this is not a folder", where=str(folder))
    entries = []
    for path in sorted(folder.rglob("*")):
        target = copy / path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        relative = path.relative_to(folder).as_posix()
        entries.append(Entry(path=relative, md5=copy_plain(path, target)))
    if not entries:
        raise InputError("the folder is empty", where=str(folder))
    return tuple(sorted(entries, key=lambda entry: entry.path))
