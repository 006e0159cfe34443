"""A pointer and a reader of objects come in; the files that it stands for, checked, go out to a folder.

Several objects at a time, each hashed while it is written. Neither DVC nor its cache takes part.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gitops.adapters.dvc.listing import MAX_BYTES, Entry, parse_listing
from gitops.adapters.dvc.objects import object_path, open_plain
from gitops.adapters.dvc.source import disk_errors
from gitops.errors import InputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from gitops.pointer import Pointer

THREADS = 16
# What file systems round up to, for each file.
_CLUSTER = 4096
_BLOCK = 2**20


class Reader(Protocol):
    """Reads the objects of one remote."""

    @property
    def place(self) -> str:
        """The remote's name and address, for messages."""
        ...

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Yield the unchecked bytes of an object; raise OutsideError when it cannot be had."""
        ...

    def close(self) -> None:
        """Let go of what reading needed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReader:
    """Reads the objects of a remote in a folder of this machine.

    Attributes:
        folder: the remote's folder.
        place: the remote's name and address, for messages.
    """

    folder: Path
    place: str

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Yield the bytes of a plain file."""
        try:
            with open_plain(object_path(self.folder, name)) as file:
                while block := file.read(_BLOCK):
                    yield block
        except FileNotFoundError as error:
            raise OutsideError(
                f"object {name} is not on the remote",
                where=self.place,
                hint="dvc push, on the machine that has the data",
            ) from error

    def close(self) -> None:
        """Nothing is open."""


@disk_errors()
def read_entries(reader: Reader, pointer: Pointer) -> tuple[Entry, ...]:
    """Return the files that a pointer stands for: those of its listing, or the one file.

    Raises:
        InputError: the listing is hostile, broken, or longer or shorter than the pointer says.
        OutsideError: the listing cannot be read, or has other bytes than its name says.
    """
    if not pointer.directory:
        return (Entry(path=pointer.target.rpartition("/")[2], md5=pointer.md5),)
    content = bytearray()
    for block in _read_checked(reader, pointer.md5, _Budget(left=MAX_BYTES, place=pointer.path)):
        content += block
    entries = parse_listing(bytes(content), pointer.path)
    if len(entries) != pointer.files:
        raise InputError(
            f"its listing has {len(entries)} files, and the pointer says {pointer.files}",
            where=pointer.path,
            hint="track the folder again: dvc add, then dvc push",
        )
    return entries


@disk_errors()
def write_entries(
    reader: Reader, entries: Sequence[Entry], folder: Path, *, size: int, threads: int = THREADS
) -> None:
    """Write the files below a new folder; each object is downloaded once and checked by hash.

    Args:
        reader: where the objects are.
        entries: the files.
        folder: where they go; it is made.
        size: bytes that the pointer promises; more are not accepted.
        threads: downloads at the same time.

    Raises:
        OutsideError: an object is missing, damaged or larger than promised, or the disk is full.
    """
    folder.mkdir()
    _refuse_full_disk(folder, size + _CLUSTER * len(entries))
    copies: dict[str, list[Path]] = {}
    for entry in entries:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        copies.setdefault(entry.md5, []).append(target)
    budget = _Budget(left=size, place=reader.place)
    pool = ThreadPoolExecutor(max(1, min(threads, len(copies))))
    try:
        tasks = [pool.submit(_write, reader, *item, budget) for item in copies.items()]
        for task in as_completed(tasks):
            task.result()
    finally:
        # After a failure, or Ctrl-C, the others stop at their next block.
        budget.stop()
        pool.shutdown(cancel_futures=True)


@dataclass(slots=True, kw_only=True)
class _Budget:
    """Bytes that may still come, shared by all downloads."""

    left: int
    place: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_stopped: bool = False

    def spend(self, count: int) -> None:
        with self._lock:
            self.left -= count
            is_over = self.left < 0
        if self._is_stopped:
            raise OutsideError("the download was given up", where=self.place)
        if is_over:
            raise OutsideError(
                "there are more bytes than the pointer says",
                where=self.place,
                hint="find out who changed the remote, then push again",
            )

    def stop(self) -> None:
        self._is_stopped = True


def _write(reader: Reader, name: str, targets: Sequence[Path], budget: _Budget) -> None:
    first, *others = targets
    with first.open("xb") as file:
        for block in _read_checked(reader, name, budget):
            file.write(block)
    for other in others:
        budget.spend(first.stat().st_size)
        shutil.copyfile(first, other)


def _read_checked(reader: Reader, name: str, budget: _Budget) -> Generator[bytes, None, None]:
    """Yield an object's bytes; raise OutsideError at the end unless they are what it is named after."""
    digest = hashlib.md5(usedforsecurity=False)
    with closing(reader.read(name)) as blocks:
        for block in blocks:
            budget.spend(len(block))
            digest.update(block)
            yield block
    if digest.hexdigest() != name.removesuffix(".dir"):
        raise OutsideError(
            f"object {name} has other bytes on the remote than its name says",
            where=reader.place,
            hint="delete it there and push it again; find out who changed it",
        )


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutsideError(
            f"{needed:,} bytes are needed and {free:,} are free",
            where=str(folder.parent),
            hint="give the volume more room",
        )
