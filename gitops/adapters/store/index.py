"""A folder of plain files comes in; its index goes out, and is read back as a stranger's would be."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.errors import InputError
from gitops.strict_json import as_list, as_object, as_text, check_keys, check_version, parse_object

MAX_INDEX = 4 * 2**20
MAX_FILES = 10_000
MAX_BYTES = 64 * 2**30
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of an entry.

    Attributes:
        path: relative to the entry, `/` between parts.
        sha256: of its bytes, in hex; the bytes lie under this name.
        size: in bytes.
    """

    path: str
    sha256: str
    size: int


def read_folder(folder: Path) -> tuple[StoredFile, ...]:
    """Hash a folder's files; InputError when one of them is not a plain file, or has an odd name."""
    files = [_read_file(path, folder) for path in sorted(_walk(folder))]
    # What is written here has to be readable there.
    return parse_index(render_index(files), str(folder))


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def render_index(files: Iterable[StoredFile]) -> bytes:
    """Return the index as JSON; equal files give equal bytes."""
    body = [{"path": f.path, "sha256": f.sha256, "size": f.size} for f in files]
    return json.dumps({"schema_version": _VERSION, "files": body}).encode("ascii")


def parse_index(content: bytes, where: str) -> tuple[StoredFile, ...]:
    """Parse an index that anybody who may write there may have written.

    Raises:
        InputError: it is not an index, a path leaves the entry, or there is too much of it.
    """
    try:
        body = parse_object(content, limit=MAX_INDEX)
        check_keys(body, {"schema_version", "files"})
        check_version(body, _VERSION)
        files = tuple(_parse_file(item) for item in as_list(body["files"], "files"))
        _check_together(files)
    except ValueError as error:
        raise InputError(
            f"its index is refused: {error}",
            where=where,
            hint="delete the entry there and find out who wrote it",
        ) from error
    return files


def _walk(folder: Path) -> Iterator[Path]:
    for here, names, files in os.walk(folder):
        yield from (Path(here, name) for name in files)
        yield from (link for name in names if (link := Path(here, name)).is_symlink())


def _read_file(path: Path, folder: Path) -> StoredFile:
    if path.is_symlink() or not path.is_file():
        raise InputError("a result may hold plain files only", where=str(path))
    relative = path.relative_to(folder).as_posix()
    return StoredFile(path=relative, sha256=hash_file(path), size=path.stat().st_size)


def _parse_file(item: object) -> StoredFile:
    body = as_object(item, "a file")
    check_keys(body, {"path", "sha256", "size"})
    return StoredFile(
        path=_as_path(body["path"]),
        sha256=as_text(body["sha256"], "sha256", r"[0-9a-f]{64}"),
        size=_as_size(body["size"]),
    )


def _as_path(value: Any) -> str:
    path = as_text(value, "path", r"[^\\]{1,1000}")
    parts = path.split("/")
    if not path.isprintable() or any(part in {"", ".", ".."} or len(part) > 200 for part in parts):
        raise ValueError(f"path has the unusable value {path[:80]!r}")
    return path


def _as_size(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise ValueError(f"size has the unusable value {str(value)[:80]!r}")
    return value


def _check_together(files: tuple[StoredFile, ...]) -> None:
    if len(files) > MAX_FILES:
        raise ValueError(f"more than {MAX_FILES:,} files")
    if sum(file.size for file in files) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    paths = {file.path for file in files}
    if len(paths) != len(files):
        raise ValueError("a path appears twice")
    for path in paths:
        parts = path.split("/")
        if any("/".join(parts[:count]) in paths for count in range(1, len(parts))):
            raise ValueError(f"{path[:80]!r} lies inside another file")
