"""Names of objects come in; whether a remote has them, and their bytes, go out."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gitops.adapters.dvc.workspace import Workspace, open_workspace, stop
from gitops.errors import InputError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping

    from gitops.adapters.dvc.remote import Remote

_NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")
_BLOCK = 2**20


class Objects(Protocol):
    """The objects on one remote, by name: the md5 of the bytes, `.dir` added for a listing."""

    def find_missing(self, sizes: Mapping[str, int | None]) -> dict[str, str]:
        """Return name → reason for each object that is not there; sizes in bytes where known."""
        ...

    def read(self, names: Iterable[str], scratch: Path) -> dict[str, Path]:
        """Return name → file, unchecked, for each object there; `scratch` is an empty folder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderObjects:
    """The objects in a folder of this machine: plain files, no DVC needed."""

    folder: Path

    def find_missing(self, sizes: Mapping[str, int | None]) -> dict[str, str]:
        """Look at each file's entry on the disk, not at its bytes."""
        reasons = {name: self._why_missing(name, size) for name, size in sizes.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    def read(self, names: Iterable[str], scratch: Path) -> dict[str, Path]:  # noqa: ARG002 - nothing to download
        """Return the files themselves."""
        paths = {name: object_path(self.folder, name) for name in names}
        return {name: path for name, path in paths.items() if os.path.lexists(path)}

    def _why_missing(self, name: str, size: int | None) -> str:
        try:
            found = os.lstat(object_path(self.folder, name))
        except FileNotFoundError:
            return "it is not on the remote"
        if not stat.S_ISREG(found.st_mode):
            return "what is on the remote is not a plain file"
        if size is not None and found.st_size != size:
            return f"it has {found.st_size} bytes on the remote instead of {size}"
        return ""


@dataclass(slots=True, kw_only=True)
class DistantObjects:
    """The objects that DVC has to fetch from elsewhere; the process starts with the first question.

    Attributes:
        workspace: where DVC runs.
        timeout: seconds that all questions together may take.
    """

    workspace: Workspace
    timeout: float
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _alarm: threading.Timer | None = field(default=None, init=False)
    _late: bool = field(default=False, init=False)

    def find_missing(self, sizes: Mapping[str, int | None]) -> dict[str, str]:
        """Ask DVC for all names in one listing; sizes are left to the hash."""
        present = set(self._ask({"names": _checked(sizes)}) if sizes else ())
        return {name: "it is not on the remote" for name in sizes if name not in present}

    def read(self, names: Iterable[str], scratch: Path) -> dict[str, Path]:
        """Download the objects, several at a time."""
        found = self._ask({"names": _checked(names), "folder": str(scratch)})
        return {name: scratch / name for name in found}

    def close(self) -> None:
        """End the process; nothing is left running."""
        if self._alarm:
            self._alarm.cancel()
        if self._process:
            stop(self._process)

    def _ask(self, question: Mapping[str, object]) -> list[str]:
        process = self._process or self._start()
        answer = _exchange(process, json.dumps(question))
        if not answer:
            stop(process)
            late = f"no answer within {self.timeout:g} s"
            raise self.workspace.failure(late if self._late else "the remote cannot be read")
        return [str(name) for name in json.loads(answer)]

    def _start(self) -> subprocess.Popen[str]:
        # By path: `python -m` would need this package on the import path of a bare process.
        self._process = self.workspace.start([str(Path(__file__).with_name("ask.py"))])
        self._alarm = threading.Timer(self.timeout, self._expire)
        self._alarm.daemon = True
        self._alarm.start()
        return self._process

    def _expire(self) -> None:
        self._late = True
        if self._process:
            stop(self._process)


@contextmanager
def open_objects(remote: Remote, cache: Path, timeout: float) -> Iterator[Objects]:
    """Give access to a remote's objects; a process is started only if one is needed."""
    if remote.folder is not None:
        yield FolderObjects(folder=remote.folder)
        return
    with open_workspace(remote, cache) as workspace:
        objects = DistantObjects(workspace=workspace, timeout=timeout)
        try:
            yield objects
        finally:
            objects.close()


def _exchange(process: subprocess.Popen[str], question: str) -> str:
    """Return the line that answers a question, empty when the process has ended."""
    if process.stdin is None or process.stdout is None:
        return ""
    with suppress(BrokenPipeError):
        process.stdin.write(question + "\n")
        process.stdin.flush()
    return process.stdout.readline()


def object_path(folder: Path, name: str) -> Path:
    """Return where DVC keeps an object below a cache or a remote's folder.

    Raises:
        InputError: the name is not an md5 sum, with or without `.dir`.
    """
    _checked([name])
    return folder / "files" / "md5" / name[:2] / name[2:]


def read_hash(path: Path) -> str | None:
    """Return the md5 of a plain file's bytes; None where there is no such file."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open_plain(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def is_intact(path: Path, name: str) -> bool:
    """Tell whether a file's bytes are those that the object's name promises."""
    return read_hash(path) == name.removesuffix(".dir")


def copy_plain(source: Path, target: Path) -> str:
    """Copy a plain file to a new one and return the md5 of exactly the bytes written.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is a link, a pipe or anything else that is not a plain file.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open_plain(source) as reader, target.open("xb") as writer:
        while block := reader.read(_BLOCK):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()


def copy_checked(source: Path, target: Path, name: str) -> bool:
    """Copy an object to a new file; False, and no file, if its bytes are absent or others."""
    try:
        if copy_plain(source, target) == name.removesuffix(".dir"):
            return True
    except FileNotFoundError:
        return False
    target.unlink()
    return False


@contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file for reading; raise InputError for a link or anything else in its place."""
    # Without these flags a link would be followed, and a named pipe would be waited for.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError("this is a symbolic link, not a file", where=str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError("this is not a plain file", where=str(path))
    with os.fdopen(handle, "rb") as file:
        yield file


def _checked(names: Iterable[str]) -> list[str]:
    """Return the names, each of them proven to be one: they become paths and parts of URLs."""
    listed = list(names)
    for name in listed:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name[:80]!r} is not the name of a DVC object")
    return listed
