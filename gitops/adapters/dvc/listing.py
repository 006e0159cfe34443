"""The bytes of a `.dir` object, hostile until proven harmless, come in; its entries go out."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gitops.errors import InputError

MAX_BYTES = 64 * 2**20
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a tracked folder: relative path, `/` between parts, and the md5 of its bytes."""

    path: str
    md5: str


def parse_listing(content: bytes, where: str) -> tuple[Entry, ...]:
    """Return the files that a `.dir` object lists, sorted by path.

    Raises:
        InputError: too large, not such a list, a path that leaves the folder, a path given twice.
    """
    if len(content) > MAX_BYTES:
        raise _refuse(f"the listing of the folder is larger than {MAX_BYTES} bytes", where)
    try:
        items = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refuse("the listing of the folder is not JSON", where) from error
    if not isinstance(items, list):
        raise _refuse("the listing of the folder is not a list", where)
    entries = sorted((_parse_entry(item, where) for item in items), key=lambda entry: entry.path)
    _refuse_clashes(entries, where)
    return tuple(entries)


def _parse_entry(item: object, where: str) -> Entry:
    match item:
        case {"md5": str(md5), "relpath": str(path), **rest} if not rest:
            pass
        case _:
            raise _refuse("an entry is not an md5 and a relpath", where)
    if len(md5) != 32 or not _HEX.issuperset(md5):
        raise _refuse(f"{md5[:80]!r} is not an md5", where)
    if not _is_safe(path):
        raise _refuse(f"{path[:200]!r} is not a safe path inside the folder", where)
    return Entry(path=path, md5=md5)


def _is_safe(path: str) -> bool:
    # Lone surrogates, control characters and separators of other systems are not printable text.
    if not path.isprintable() or "\\" in path or len(path.encode()) > 4096:
        return False
    parts = path.split("/")
    return all(part not in {"", ".", ".."} and part.lower() != ".git" for part in parts)


def _refuse_clashes(entries: list[Entry], where: str) -> None:
    files = {entry.path for entry in entries}
    if len(files) != len(entries):
        raise _refuse("a path is listed twice", where)
    for path in files:
        parts = path.split("/")
        if any("/".join(parts[:count]) in files for count in range(1, len(parts))):
            raise _refuse(f"{path[:200]!r} lies inside another file", where)


def _refuse(what: str, where: str) -> InputError:
    return InputError(what, where=where, hint="track the folder again: dvc add, then dvc push")
