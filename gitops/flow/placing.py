"""Verified files come in; they appear in the destination, all of them or none that counts.

KServe's destination is a mount point: it cannot be replaced by a rename, and is often the only
folder that a pod may write. So everything is made in a folder inside it, and moved up at the end.
"""

from __future__ import annotations

import filecmp
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitops.errors import InputError, OutsideError

STAGING = ".gitops-fetch"
IDENTITY = "identity.json"
# A volume of its own comes with this folder.
_VOLUME = "lost+found"


@contextmanager
def open_destination(destination: Path) -> Iterator[Destination]:
    """Make the destination and a folder for work in it, which is gone afterwards.

    Raises:
        InputError: a link stands in the way, or the destination is no folder.
        OutsideError: the disk is full or read-only.
    """
    target = destination.absolute()
    try:
        _refuse_links(target)
        target.mkdir(parents=True, exist_ok=True)
        staging = target / STAGING
        was_interrupted = staging.exists()
        _remove(staging)
        staging.mkdir()
        try:
            yield Destination(target, was_interrupted=was_interrupted)
        finally:
            _remove(staging)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutsideError(
            reason, where=str(error.filename or target), hint="give the volume more room or rights"
        ) from error


class Destination:
    """The folder that is filled.

    Attributes:
        path: the folder itself, absolute.
        staging: an empty folder in it, for work.
    """

    def __init__(self, path: Path, *, was_interrupted: bool) -> None:
        self.path = path
        self.staging = path / STAGING
        self._was_interrupted = was_interrupted

    def place(self, new: Path) -> bool:
        """Move what a finished folder holds up into the destination, the identity last.

        What an attempt that was killed left there is replaced; what is there already and equal
        stays. Returns whether anything was moved.

        Raises:
            InputError: the destination holds anything else.
        """
        names = sorted((path.name for path in new.iterdir()), key=lambda name: name == IDENTITY)
        present = {path.name for path in self.path.iterdir()} - {STAGING, _VOLUME}
        if not self._was_interrupted and present == set(names) and self._is_equal(new):
            return False
        if present - set(names) or (present and not self._was_interrupted):
            raise InputError(
                f"the destination is not empty: {', '.join(sorted(present)[:5])!a}",
                where=str(self.path),
                hint="give an empty folder, or one that does not exist yet",
            )
        _make_readable(new)
        for name in reversed(names):
            _remove(self.path / name)
        for name in names:
            (new / name).rename(self.path / name)
        return True

    def _is_equal(self, new: Path) -> bool:
        """Tell whether the destination holds exactly these files, byte by byte."""
        old = {path for path in _walk(self.path) if STAGING not in path.parts}
        if {path for path in old if _VOLUME not in path.parts} != set(_walk(new)):
            return False
        return all(
            filecmp.cmp(self.path / path, new / path, shallow=False)
            for path in _walk(new)
            if (new / path).is_file()
        )


def _walk(folder: Path) -> list[Path]:
    """Return what is below a folder; a link counts as itself under another name."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        found.append(relative.with_name(f"{path.name}\0") if path.is_symlink() else relative)
    return found


def _refuse_links(target: Path) -> None:
    if ".." in target.parts:
        raise InputError("the destination must not contain `..`", where=str(target))
    for path in (*reversed(target.parents), target, target / STAGING):
        if path.is_symlink():
            raise InputError(
                "a symbolic link stands in the way", where=str(path), hint="give the real folder"
            )
    if target.exists() and not target.is_dir():
        raise InputError("the destination is not a folder", where=str(target))


def _make_readable(folder: Path) -> None:
    """The server may run as somebody else."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _remove(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        path.unlink()
