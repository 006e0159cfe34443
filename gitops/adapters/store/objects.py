"""Folders come in and go to an object store through fsspec; only complete, checked ones come back.

An entry's files lie under the names of their own bytes, `<address>/<entry>/files/<sha256>`, and
`<address>/<entry>/index.json` is written last: writers that race or die leave nothing half visible.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from gitops.adapters.store.index import (
    MAX_INDEX,
    StoredFile,
    hash_file,
    parse_index,
    read_folder,
    render_index,
)
from gitops.errors import GitopsError, InputError, OutsideError

_Answer = TypeVar("_Answer")

# Bucket and prefix only: no credentials, no query, no other protocol chained behind it.
_ADDRESS = re.compile(r"(s3|s3a|gs|gcs)://[A-Za-z0-9][\w.-]*(/(?!\.\.?(/|$))[\w.=-]+)*/?", re.ASCII)
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL")
_USERINFO = re.compile(r"(?<=//)[^/@\s]+@")
_QUERY = re.compile(r"\?[^\s'\"]+")
_CHUNK = 8 * 2**20
_PARALLEL = 8
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an object store may take, in seconds.

    Attributes:
        connect: until it accepts a connection.
        answer: until the next bytes of an answer.
        ask: for one question, retries included.
        transfer: for all files of an entry.
    """

    connect: float = 10
    answer: float = 30
    ask: float = 90
    transfer: float = 1800


class ObjectStore:
    """Entries below one address; credentials come from the environment, as the driver reads it.

    Every method raises OutsideError when the store fails or does not answer in time.
    """

    def __init__(self, address: str, limits: Limits | None = None) -> None:
        if not _ADDRESS.fullmatch(address):
            raise InputError(
                "this is not the address of an object store",
                where=_redact(address)[:200],
                hint="write store: s3://bucket/prefix; credentials belong into AWS_* variables",
            )
        self.address = address.rstrip("/")
        self.limits = limits or Limits()

    def read_index(self, entry: str) -> tuple[StoredFile, ...] | None:
        """Return the files of an entry, None where there is none (yet)."""
        content = self._run(entry, lambda: self._read_index(entry), self.limits.ask, "read")
        return None if content is None else parse_index(content, f"{self.address}/{entry}")

    def read_files(self, entry: str, files: Sequence[StoredFile], folder: Path) -> None:
        """Download an entry's files into an empty folder, and hold each to its hash."""
        for file in files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(exist_ok=False)
        self._run(entry, lambda: self._download(entry, files, folder), self.limits.transfer, "read")
        for file in files:
            if hash_file(folder / file.path) != file.sha256:
                raise self._damaged(entry, file)

    def write_folder(self, entry: str, folder: Path) -> bool:
        """Upload a folder, its index last; False when another writer's entry was there first."""
        files = read_folder(folder)
        return self._run(
            entry, lambda: self._upload(entry, files, folder), self.limits.transfer, "written"
        )

    @cached_property
    def _filesystem(self) -> Any:
        import fsspec  # type: ignore[import-untyped] # it has no stubs

        protocol = self.address.partition("://")[0]
        timeouts = {"connect_timeout": self.limits.connect, "read_timeout": self.limits.answer}
        config = {**timeouts, "retries": {"mode": "standard", "total_max_attempts": 1}}
        options = {"config_kwargs": config} if protocol in {"s3", "s3a"} else {}
        try:
            filesystem = fsspec.filesystem(
                protocol, skip_instance_cache=True, use_listings_cache=False, **options
            )
        except ImportError as error:
            raise InputError(f"{protocol}:// needs a driver: {error}", where="store") from error
        filesystem.retries = _ATTEMPTS
        return filesystem

    def _run(
        self,
        entry: str,
        work: Callable[[], Coroutine[Any, Any, _Answer]],
        seconds: float,
        doing: str,
    ) -> _Answer:
        from fsspec.asyn import sync  # type: ignore[import-untyped] # it has no stubs

        try:
            answer: _Answer = sync(self._filesystem.loop, work, timeout=seconds)
        except GitopsError:
            raise
        except TimeoutError:
            raise self._failed(entry, doing, f"no end within {seconds:g} s") from None
        except Exception as error:  # noqa: BLE001 - drivers raise whatever their libraries raise
            # Without its cause: what a driver says may carry signed addresses.
            raise self._failed(entry, doing, _describe(error)) from None
        return answer

    async def _read_index(self, entry: str) -> bytes | None:
        try:
            content = await self._filesystem._cat_file(  # noqa: SLF001 - fsspec's own name for its async calls
                self._path(entry, "index.json"), start=0, end=MAX_INDEX + 1
            )
        except FileNotFoundError:
            return None
        return bytes(content)

    async def _download(self, entry: str, files: Sequence[StoredFile], folder: Path) -> None:
        await _run_together(
            [
                self._download_chunk(entry, file, folder / file.path, offset)
                for file in files
                for offset in range(0, file.size, _CHUNK)
            ]
        )

    async def _download_chunk(
        self, entry: str, file: StoredFile, target: Path, offset: int
    ) -> None:
        end = min(offset + _CHUNK, file.size)
        source = self._path(entry, f"files/{file.sha256}")
        try:
            content = await self._filesystem._cat_file(source, start=offset, end=end)  # noqa: SLF001 - as above
        except FileNotFoundError:
            raise self._damaged(entry, file, "is not there") from None
        except OSError as error:
            # The index has just been read from here; what is invalid now is a range beyond the end.
            if error.errno != errno.EINVAL:
                raise
            content = b""
        if len(content) != end - offset:
            raise self._damaged(entry, file)
        _write_chunk(target, offset, content)

    async def _upload(self, entry: str, files: Sequence[StoredFile], folder: Path) -> bool:
        by_hash = {file.sha256: str(folder / file.path) for file in files if file.size}
        await _run_together(
            [
                self._filesystem._put_file(source, self._path(entry, f"files/{sha256}"))  # noqa: SLF001 - as above
                for sha256, source in by_hash.items()
            ]
        )
        index = self._path(entry, "index.json")
        try:
            await self._filesystem._pipe_file(index, render_index(files), mode="create")  # noqa: SLF001 - as above
        except Exception:
            # Each kind of store says in its own way that somebody was first: look.
            if await self._read_index(entry) is None:
                raise
            return False
        return True

    def _path(self, entry: str, name: str) -> str:
        return f"{self.address}/{entry}/{name}"

    def _damaged(
        self, entry: str, file: StoredFile, state: str = "has other bytes there than its index says"
    ) -> OutsideError:
        return OutsideError(
            f"{file.path} {state}",
            where=f"{self.address}/{entry}",
            hint="delete the entry there, it will be made again; find out who changed it",
        )

    def _failed(self, entry: str, doing: str, reason: str) -> OutsideError:
        return OutsideError(
            f"the store cannot be {doing}: {reason}",
            where=f"{self.address}/{entry}",
            hint="check that it answers and what the AWS_* variables allow there, then run again",
        )


async def _run_together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run a few at a time; the first failure stops the others, so that none goes on unseen."""
    import asyncio

    turns = asyncio.Semaphore(_PARALLEL)

    async def run(one: Coroutine[Any, Any, None]) -> None:
        async with turns:
            await one

    waiting = list(work)
    try:
        async with asyncio.TaskGroup() as group:
            for one in waiting:
                group.create_task(run(one))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        for one in waiting:
            one.close()


def _write_chunk(target: Path, offset: int, content: bytes) -> None:
    """Write in place; a disk that fails is told from a store that fails."""
    view = memoryview(content)
    try:
        handle = os.open(target, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            while view:
                count = os.pwrite(handle, view, offset)
                view, offset = view[count:], offset + count
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_error(error, target) from error


def disk_error(error: OSError, place: Path) -> OutsideError:
    """Return what to tell about a local disk that fails."""
    return OutsideError(
        (error.strerror or type(error).__name__).lower(),
        where=str(error.filename or place),
        hint="free some space there or make it writable, then run again",
    )


def _describe(error: Exception) -> str:
    """Return an error's own words in one short line without secrets."""
    said = "".join(c if c.isprintable() else " " for c in _redact(str(error)))
    return f"{type(error).__name__}: {said}"[:300]


def _redact(text: str) -> str:
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) > 3:
            text = text.replace(value, "***")
    return _QUERY.sub("?***", _USERINFO.sub("***@", text))
