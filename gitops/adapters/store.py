"""Results come in under the digest of what they depend on; the same bytes come out again, whole or not at all.

A local folder with a prefix per zone: what unmerged code wrote is never found by a protected run.
Entries are written beside their place and renamed into it, so a killed writer leaves nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from gitops.config import Zone
from gitops.errors import InputError


class Store:
    """Folders and files named by digest, under `root/zone`."""

    def __init__(self, root: Path, zone: Zone) -> None:
        self.root = root / zone

    def place(self, kind: str, digest: str) -> Path:
        """Return where an entry lies or would lie; the digest may be several joined by `+`."""
        name = digest.replace("sha256:", "")
        if not name or not all(part.isalnum() and part.isascii() for part in name.split("+")):
            raise InputError(f"{digest!r} is not a digest")
        return self.root / kind / name

    def has(self, kind: str, digest: str) -> bool:
        """Tell whether an entry is there."""
        return self.place(kind, digest).exists()

    def write_folder(self, kind: str, digest: str, fill: Callable[[Path], None]) -> Path:
        """Let `fill` write into a new folder, then give it its name; an entry already there stays."""
        place = self.place(kind, digest)
        if place.exists():
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix=".new-"))
        try:
            fill(fresh)
            _rename_folder(fresh, place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return place

    def write_copy(self, kind: str, digest: str, source: Path) -> Path:
        """Copy a folder into the store; links are refused, so an entry holds nothing but its bytes."""
        return self.write_folder(kind, digest, lambda fresh: copy_plain(source, fresh))


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
