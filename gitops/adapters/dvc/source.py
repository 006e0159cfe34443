"""A remote and a cache come in; objects go out of them, each checked by hash on its way."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gitops.adapters.dvc.listing import MAX_BYTES, Entry, parse_listing
from gitops.adapters.dvc.objects import Objects, copy_checked, object_path
from gitops.adapters.dvc.remote import Remote, refuse_symlinks
from gitops.errors import InputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gitops.pointer import Pointer

# How many downloads lie on the disk at the same time before they are checked and moved on.
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where objects come from: the cache, and the remote where the cache lacks them."""

    remote: Remote
    objects: Objects
    cache: Path

    def write(self, names: Sequence[str], targets: Sequence[Path]) -> None:
        """Write each object to its target, a new file; what comes from the remote is cached too."""
        absent: dict[str, list[Path]] = {}
        for name, target in zip(names, targets, strict=True):
            if not copy_checked(object_path(self.cache, name), target, name):
                absent.setdefault(name, []).append(target)
        for name, path in read_batches(self.objects, absent):
            if path is None:
                raise self._absent(name)
            for target in absent[name]:
                if not copy_checked(path, target, name):
                    raise self._damaged(name)
            put_into_cache(absent[name][0], self.cache, name)

    def read_listing(self, pointer: Pointer) -> tuple[Entry, ...]:
        """Return the files of a tracked folder."""
        with TemporaryDirectory(prefix="gitops-dvc-") as scratch:
            # A copy of our own, so that what is parsed is what was hashed.
            path = Path(scratch, "listing")
            self.write([pointer.md5], [path])
            return read_entries(path, pointer)

    def _absent(self, name: str) -> OutsideError:
        return OutsideError(
            f"object {name} is not on the remote",
            where=self.remote.address,
            hint="dvc push, on the machine that has the data",
        )

    def _damaged(self, name: str) -> OutsideError:
        return OutsideError(
            f"object {name} has other bytes on the remote than its name says",
            where=self.remote.address,
            hint="delete it there and push it again; find out who changed it",
        )


def read_batches(objects: Objects, names: Iterable[str]) -> Iterator[tuple[str, Path | None]]:
    """Yield each object's name and its unchecked file, None if absent; the file lasts one step."""
    ordered = sorted(set(names))
    for start in range(0, len(ordered), _BATCH):
        batch = ordered[start : start + _BATCH]
        with TemporaryDirectory(prefix="gitops-dvc-") as scratch:
            found = objects.read(batch, Path(scratch))
            for name in batch:
                yield name, found.get(name)


def read_entries(path: Path, pointer: Pointer) -> tuple[Entry, ...]:
    """Return the files that a listing names; its bytes have been checked."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"its listing is larger than {MAX_BYTES} bytes", where=pointer.path)
    return parse_listing(path.read_bytes(), pointer.path)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk says (full, read-only, not permitted) into an error with its place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutsideError(reason, where=str(error.filename or "disk")) from error


def put_into_cache(checked: Path, cache: Path, name: str) -> None:
    """Put an object into the cache, atomically, hashed once more on its way.

    Raises:
        InputError: a link below the cache's folder leads elsewhere.
        OutsideError: the bytes are no longer those that were checked.
    """
    target = object_path(cache, name)
    refuse_symlinks(cache, target.parent, hint="remove the link, then run again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, prefix=".gitops-") as staging:
        staged = Path(staging, "object")
        if not copy_checked(checked, staged, name):
            raise OutsideError(f"object {name} changed while it was read", where=str(checked))
        staged.chmod(0o444)
        staged.replace(target)
