"""The bytes of a `.dvc` or dvc.lock file come in, hostile until proven harmless; pointers go out.

What is refused here never reaches DVC, which would follow it out of the repository, clone what it
names, or call it up to date although it names nothing.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from gitops.errors import InputError
from gitops.strict_yaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POINTER_BYTES = 1 << 20
LOCK_BYTES = 16 << 20
MAX_DEPTH = 12
MAX_SIZE = 2**63 - 1
SYMLINK = "120000"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CONFLICT = re.compile(rb"^(<<<<<<<|>>>>>>>|=======$|\|\|\|\|\|\|\| )", re.MULTILINE)
_DRIVE = re.compile(r"[A-Za-z]:")
_ELSEWHERE = {SYMLINK: "symbolic link", "160000": "submodule"}
_POINTER_KEYS = {"outs", "meta", "desc", "wdir"}
_OUT_KEYS = {"path", "md5", "size", "nfiles", "hash", "isexec", "desc", "type", "labels", "meta"}
_FORBIDDEN = {
    "deps": "it imports from elsewhere, and reading it would contact what it names",
    "cmd": "a pointer holds no command",
    "frozen": "it is an import",
    "cache": "its bytes would not be in the cache",
    "persist": "its bytes may be changed in place",
    "remote": "the remote is chosen by the target branch",
    "push": "its bytes would stay off the remote",
    "files": "versions kept by a cloud store are not supported",
    "cloud": "versions kept by a cloud store are not supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What Git keeps in place of data: which bytes belong at which path.

    Attributes:
        path: repository path of the `.dvc` or `dvc.lock` file.
        target: repository path of the file or folder it stands for.
        md5: 32 lowercase hex digits, followed by `.dir` for a folder.
        size: bytes in all.
        files: number of files of a folder, None for a file.
        directory: whether it stands for a folder.
    """

    path: str
    target: str
    md5: str
    size: int | None
    files: int | None
    directory: bool


def parse_pointer(content: bytes, path: str) -> Pointer:
    """Parse a `.dvc` file; raise InputError, naming what is wrong, for all but one plain output.

    No file cut short, at whatever byte, parses as a pointer to something else: every key that
    matters is required, the path is on one line, and the last line must end.
    """
    again = shlex.quote(path.removesuffix(".dvc"))
    with _naming(path, hint=f"write it again: `dvc add {again}`"):
        tree = _mapping(_parse(content, POINTER_BYTES), "the file")
        _refuse_keys(tree, _POINTER_KEYS)
        if tree.get("wdir", ".") != ".":
            raise InputError("`wdir` would move its output elsewhere")
        outs = tree.get("outs")
        if not isinstance(outs, list) or len(outs) != 1:
            raise InputError("it must have exactly one output under `outs`")
        return _make_pointer(outs[0], path)


def parse_lock(content: bytes, path: str) -> tuple[Pointer, ...]:
    """Parse a dvc.lock into a pointer per output of each stage, relative to the lock's folder.

    A stage that dvc.yaml gives a `wdir` of its own is read as if it had none. Raises InputError.
    """
    with _naming(path, hint="write it again: `dvc repro`"):
        tree = _mapping(_parse(content, LOCK_BYTES), "the file")
        if tree.get("schema") != "2.0":
            raise InputError("only `schema: '2.0'` is supported")
        stages = _mapping(tree.get("stages"), "`stages`")
        outs = [out for name, stage in stages.items() for out in _outs(name, stage)]
        pointers = tuple(_make_pointer(out, path) for out in outs)
        if len({pointer.target for pointer in pointers}) < len(pointers):
            raise InputError("two outputs have the same path")
        return pointers


def check_outside(pointer: Pointer, modes: Mapping[str, str]) -> None:
    """Refuse a pointer whose bytes would land outside the repository through a link.

    Args:
        pointer: a parsed pointer.
        modes: Git mode by path at the pointer's commit, for each of `paths_to_check(pointer)` that
            exists there.

    Raises:
        InputError: the pointer, its target or a folder above it is a symbolic link or a submodule.
    """
    with _naming(pointer.path, hint="put a real file or folder in its place"):
        if pointer.path not in modes:
            raise InputError("it is not in this commit")
        for path in paths_to_check(pointer):
            named = "it" if path == pointer.path else f"{show_path(path)}, on the way to its data,"
            if modes.get(path) in _ELSEWHERE:
                raise InputError(f"{named} is a {_ELSEWHERE[modes[path]]}")


def paths_to_check(pointer: Pointer) -> tuple[str, ...]:
    """Return the pointer, its target, and every folder above either, the pointer first."""
    above = {*make_parents(pointer.path), *make_parents(pointer.target), pointer.target}
    return (pointer.path, *sorted(above - {pointer.path}))


def make_parents(path: str) -> tuple[str, ...]:
    """Return the folders above a repository path, the nearest first, without the root."""
    parts = path.split("/")
    return tuple("/".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))


def judge_path(path: str) -> str:
    """Say why a relative path from a stranger is dangerous; return an empty text when it is not."""
    parts = path.split("/")
    faults = (
        ("is empty", not path),
        ("is absolute", path.startswith("/") or bool(_DRIVE.match(path))),
        ("has a backslash", "\\" in path),
        ("has control characters", any(map(_is_control, path))),
        ("leaves its folder", ".." in parts),
        ("has an empty part", not all(part.strip(".") for part in parts)),
        ("is inside .git or .dvc", any(map(_is_reserved, parts))),
        ("is too long", max(map(_size, parts)) > 255 or _size(path) > 4096),
    )
    return next((f"the path {fault}" for fault, found in faults if found), "")


def show_path(path: str) -> str:
    """Return a path as a message may show it: on one line, without anything unprintable."""
    return path if path.isprintable() else ascii(path)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _is_reserved(part: str) -> bool:
    """Tell whether some file system takes this name for `.git` or `.dvc`."""
    seen = "".join(char for char in part if unicodedata.category(char) != "Cf")
    return seen.casefold().rstrip(". ") in {".git", ".dvc", "git~1"}


@contextmanager
def _naming(path: str, *, hint: str) -> Iterator[None]:
    """Add the place, and a next step where there is none, to every refusal."""
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=show_path(path), hint=error.hint or hint) from error


def _parse(content: bytes, limit: int) -> object:
    if not content.strip():
        raise InputError("the file is empty")
    if len(content) > limit:
        raise InputError(f"larger than the {limit:,} bytes that such a file may have")
    if _CONFLICT.search(content):
        raise InputError("it has conflict markers", hint="finish the merge of this file first")
    try:
        _refuse_unusual(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "unreadable"
        raise InputError(f"not valid YAML: {problem}") from error
    return parse_yaml(content, "", limit=limit).value


def _refuse_unusual(text: str) -> None:
    """Refuse what DVC never writes, from the stream of events: no recursion, no tree to blow up."""
    if not text.endswith("\n"):
        raise InputError("the last line does not end: the file is cut short")
    depth = 0
    key = ""
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InputError("the document is nested too deeply")
        if getattr(event, "anchor", None):
            raise InputError("anchors and aliases are not allowed here")
        if isinstance(event, yaml.ScalarEvent):
            # Cut after its first line, such a path would still be a path: to another file.
            if key == "path" and _spans_lines(event):
                raise InputError("the path must be on one line", hint="put it in quotes")
            key = event.value


def _spans_lines(event: yaml.Event) -> bool:
    marks = (event.start_mark, event.end_mark)
    return len({mark.line for mark in marks if mark}) > 1


def _mapping(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a mapping")
    return value


def _outs(stage: str, value: object) -> list[object]:
    outs = _mapping(value, f"stage {stage!r}").get("outs", [])
    if not isinstance(outs, list):
        raise InputError(f"`outs` of stage {stage!r} must be a list")
    return outs


def _refuse_keys(mapping: Mapping[str, object], allowed: set[str]) -> None:
    for key in mapping:
        if key in _FORBIDDEN:
            raise InputError(f"`{key}` is not allowed: {_FORBIDDEN[key]}")
        if key not in allowed:
            raise InputError(f"unknown key {key[:40]!r}")


def _make_pointer(value: object, path: str) -> Pointer:
    out = _mapping(value, "an output")
    _refuse_keys(out, _OUT_KEYS)
    if out.get("isexec", False) is not False:
        raise InputError("`isexec` is not allowed: data is not run")
    md5 = _md5(out)
    directory = md5.endswith(".dir")
    if "nfiles" in out and not directory:
        raise InputError("`nfiles` belongs to a folder, but `md5` is that of a file")
    return Pointer(
        path=path,
        target=_target(out, path),
        md5=md5,
        size=_count(out, "size"),
        files=_count(out, "nfiles") if directory else None,
        directory=directory,
    )


def _md5(out: Mapping[str, object]) -> str:
    md5 = out.get("md5")
    if not isinstance(md5, str) or not _HASH.fullmatch(md5):
        raise InputError("`md5` must be 32 lowercase hex digits, with .dir for a folder")
    if out.get("hash") != "md5":
        # Without it the hash is that of text with its line ends rewritten, kept in another place.
        raise InputError(
            "`hash: md5` is missing: written by DVC 2 or older, or cut short",
            hint="bring it up to date: `dvc cache migrate --dvc-files`, then `dvc push`",
        )
    return md5


def _count(out: Mapping[str, object], key: str) -> int:
    value = out.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        raise InputError(f"`{key}` must be a whole number, not negative")
    return value


def _target(out: Mapping[str, object], path: str) -> str:
    inside = out.get("path")
    if not isinstance(inside, str):
        raise InputError("`path` must be text")
    target = posixpath.join(posixpath.dirname(path), inside)
    fault = judge_path(inside) or judge_path(target)
    if fault:
        raise InputError(f"{fault}: {inside[:200]!a}", hint="track a file beside its pointer")
    if target == path:
        raise InputError("it names itself as its output")
    return target
