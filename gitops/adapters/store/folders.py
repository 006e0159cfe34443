"""Results come in and lie in a folder per digest; an object store behind it has them for everybody.

Entries are written beside their place and renamed into it, so a killed writer leaves nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops.adapters.store.objects import ObjectStore, disk_error
from gitops.config import Zone
from gitops.errors import InputError

_CACHE = ".gitops/store"
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def local_folder(root: Path, configured: str) -> Path:
    """Return the folder of a configured store: itself, or the cache of that one object store.

    A folder per address: what was stored elsewhere is not believed to be there too.
    """
    protocol, separator, _ = configured.partition("://")
    if not separator:
        return root / configured
    digest = hashlib.sha256(configured.rstrip("/").encode()).hexdigest()
    return root / _CACHE / f"{protocol}-{digest[:12]}"


def open_store(root: Path, configured: str, zone: Zone) -> Store:
    """Return the store that gitops.yaml names, a folder or an address such as s3://bucket/prefix.

    The gate's own results never leave the machine, so nobody else can have written them.

    Raises:
        InputError: the address is none.
    """
    shared = "://" in configured and zone is not Zone.JUDGED
    remote = ObjectStore(configured) if shared else None
    return Store(local_folder(root, configured), zone, remote)


class Store:
    """Folders named by digest under `root/zone`, and under the same names on an object store if there is one.

    With an object store every method but `place` may raise OutsideError: it failed, was too slow,
    or what it has is not what was stored.
    """

    def __init__(self, root: Path, zone: Zone, remote: ObjectStore | None = None) -> None:
        self.root = root / zone
        self.zone = zone
        self.remote = remote

    def place(self, kind: str, digest: str) -> Path:
        """Return where an entry lies or would lie here; the digest may be several joined by `+`."""
        return self.root / kind / _make_name(digest)

    def has(self, kind: str, digest: str) -> bool:
        """Tell whether an entry is there, here or on the object store."""
        if self.remote is None or self.place(kind, digest).exists():
            return self.place(kind, digest).exists()
        return self.remote.read_index(self._entry(kind, digest)) is not None

    def find(self, kind: str, digest: str) -> Path:
        """Return where an entry lies, brought here and checked first if it is only on the object store.

        Nothing is at that path when the entry is nowhere.
        """
        place = self.place(kind, digest)
        if self.remote is None or place.exists():
            return place
        entry = self._entry(kind, digest)
        files = self.remote.read_index(entry)
        if files is not None:
            with _open_fresh(place) as fresh:
                self.remote.read_files(entry, files, fresh)
                _rename_folder(fresh, place)
        return place

    def write_folder(self, kind: str, digest: str, fill: Callable[[Path], None]) -> Path:
        """Let `fill` write into a new folder, then give it its name; an entry already there stays."""
        place = self.find(kind, digest)
        if place.exists():
            return place
        with _open_fresh(place) as fresh:
            fill(fresh)
            # The object store first: what lies here has been there.
            if self.remote and not self.remote.write_folder(self._entry(kind, digest), fresh):
                return self.find(kind, digest)
            _rename_folder(fresh, place)
        return place

    def write_copy(self, kind: str, digest: str, source: Path) -> Path:
        """Copy a folder into the store; links are refused, so an entry holds nothing but its bytes."""
        return self.write_folder(kind, digest, lambda fresh: copy_plain(source, fresh))

    def _entry(self, kind: str, digest: str) -> str:
        return f"{self.zone}/{kind}/{_make_name(digest)}"


def _make_name(digest: str) -> str:
    name = digest.replace("sha256:", "")
    if not name or not all(part.isalnum() and part.isascii() for part in name.split("+")):
        raise InputError(f"{digest!r} is not a digest")
    return name


@contextmanager
def _open_fresh(place: Path) -> Iterator[Path]:
    """Give a new folder beside a place; unless it was renamed, nothing of it is left afterwards."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise disk_error(error, place) from error


def _rename_folder(fresh: Path, place: Path) -> None:
    try:
        fresh.rename(place)
    except OSError:
        # Another process was first; equal digests mean equal content, so its entry will do.
        if not place.is_dir():
            raise


def copy_plain(source: Path, destination: Path) -> None:
    """Copy a folder of plain files; raise InputError for a link or a special file."""
    for folder, names, files in os.walk(source):
        here = Path(folder)
        there = destination / here.relative_to(source)
        there.mkdir(exist_ok=True)
        for name in (*names, *files):
            path = here / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError("a result may hold plain files only", where=str(path))
        for name in files:
            shutil.copyfile(here / name, there / name)
