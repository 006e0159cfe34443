"""The bytes of a GitLab CI file, never trusted, come in; the images and includes it names go out.

Only the tree of nodes is read: tags such as `!reference` need no constructor, and an alias costs
nothing however often it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from gitops.errors import InputError

FILE_LIMIT = 1 << 20
MAX_DEPTH = 50
MAX_EVENTS = 100_000
MAX_STEPS = 5

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DIGEST = re.compile(r".*@sha256:[0-9a-f]{64}")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|\[\[\s*(inputs\.[\w-]+)\s*(?:\|[^\]]*)?\]\])")
_OWN_COMMIT = ("$CI_COMMIT_SHA", "${CI_COMMIT_SHA}")


class Kind(StrEnum):
    """What is named."""

    IMAGE = "image"
    INCLUDE = "include"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One image or include.

    Attributes:
        kind: which of the two.
        name: as the file names it.
        where: file and line.
        pinned: whether it can never change its content; None when a variable hides what it is.
    """

    kind: Kind
    name: str
    where: str
    pinned: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A file of the same repository that is included, and the inputs that it is given."""

    path: str
    inputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CiFile:
    """What one CI file names: references, and the files of its own repository that it includes."""

    references: tuple[Reference, ...]
    local: tuple[Local, ...]


def parse_ci_file(content: bytes, file: Local) -> CiFile:
    """Read a CI file or template, both halves of one with `spec:`.

    Raises:
        InputError: too large, too deep, or not YAML.
    """
    path = file.path
    reader = _Reader(path, dict(file.inputs))
    for root in _compose(content, path):
        if isinstance(root, yaml.MappingNode):
            reader.read_root(root)
    return CiFile(references=tuple(reader.references()), local=tuple(reader.locals()))


def _compose(content: bytes, path: str) -> list[yaml.Node]:
    if len(content) > FILE_LIMIT:
        raise InputError(f"larger than {FILE_LIMIT:,} bytes", where=path)
    try:
        text = content.decode("utf-8")
        _refuse_excess(text, path)
        return list(yaml.compose_all(text, Loader=_LOADER))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("not valid YAML", where=path) from error


def _refuse_excess(text: str, path: str) -> None:
    """Count from the stream of events: composing a deep tree would overflow the stack of C."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or number > MAX_EVENTS:
            raise InputError("nested too deeply or too large", where=path)


class _Reader:
    """Collects what the documents of one file name, and the values that their variables have."""

    def __init__(self, path: str, inputs: dict[str, str]) -> None:
        self.path = path
        self.inputs = {f"inputs.{name}": value for name, value in inputs.items()}
        self.values: dict[str, str] = {}
        self.images: list[yaml.ScalarNode] = []
        self.includes: list[Reference] = []
        self.local: list[tuple[str, yaml.Node | None]] = []

    def read_root(self, root: yaml.MappingNode) -> None:
        for key, value in _pairs(root):
            if key == "spec":
                self._read_values(_get(value, "inputs"), "default", prefix="inputs.")
            elif key == "variables":
                self._read_values(value, "value")
            elif key == "include":
                self._read_includes(value)
            elif key in ("image", "services"):
                self._read_images(value)
            else:
                self._read_job(value)

    def references(self) -> Iterator[Reference]:
        """Yield all of them once variables are known, wherever in the file they were set."""
        for node in self.images:
            pinned = _is_image_pinned(str(node.value), self.values | self.inputs)
            yield self._make(Kind.IMAGE, node, pinned=pinned)
        yield from self.includes

    def locals(self) -> Iterator[Local]:
        """Yield the included files of the same repository, with what their inputs stand for."""
        for path, inputs in self.local:
            given = sorted(
                (key, _resolve(str(node.value), self.values | self.inputs))
                for key, node in _pairs(inputs)
                if isinstance(node, yaml.ScalarNode)
            )
            yield Local(path=path, inputs=tuple(given))

    def _read_job(self, job: yaml.Node) -> None:
        """Read a job, or the `default` of all jobs."""
        for key, value in _pairs(job):
            if key in ("image", "services"):
                self._read_images(value)
            elif key == "variables":
                self._read_values(value, "value")
            elif key == "trigger":
                self._read_includes(_get(value, "include"))

    def _read_values(self, node: yaml.Node | None, inner: str, *, prefix: str = "") -> None:
        for plain, value in _pairs(node):
            key = prefix + plain
            scalar = value if isinstance(value, yaml.ScalarNode) else _get(value, inner)
            if isinstance(scalar, yaml.ScalarNode):
                # Two values for one name: what it is at any one place cannot be told.
                text = str(scalar.value)
                self.values[key] = text if self.values.get(key, text) == text else ""

    def _read_images(self, node: yaml.Node) -> None:
        for item in _items(node):
            scalar = item if isinstance(item, yaml.ScalarNode) else _get(item, "name")
            if isinstance(scalar, yaml.ScalarNode):
                self.images.append(scalar)

    def _read_includes(self, node: yaml.Node | None) -> None:
        for item in _items(node):
            if isinstance(item, yaml.ScalarNode):
                is_url = str(item.value).startswith(("http://", "https://"))
                self._read_include({"remote" if is_url else "local": item})
            else:
                self._read_include(dict(_pairs(item)))

    def _read_include(self, entry: Mapping[str, yaml.Node]) -> None:
        texts = {key: str(n.value) for key, n in entry.items() if isinstance(n, yaml.ScalarNode)}
        if "local" in texts:
            self.local.append((texts["local"].lstrip("/"), entry.get("inputs")))
            return
        # What the other repository does with its inputs is not read here: their names must tell.
        for name, value in _pairs(entry.get("inputs")):
            if "image" in name.lower():
                self._read_images(value)
        for key in ("remote", "component", "project"):
            if key in texts:
                pinned = _is_include_pinned(key, texts)
                self.includes.append(self._make(Kind.INCLUDE, entry[key], pinned=pinned))

    def _make(self, kind: Kind, node: yaml.Node, *, pinned: bool | None) -> Reference:
        where = f"{self.path}:{node.start_mark.line + 1}"
        return Reference(kind=kind, name=str(node.value), where=where, pinned=pinned)


def _is_image_pinned(name: str, values: Mapping[str, str]) -> bool | None:
    value = _resolve(name, values)
    return None if _VARIABLE.fullmatch(value) else bool(_DIGEST.fullmatch(value))


def _resolve(text: str, values: Mapping[str, str]) -> str:
    """Return what a variable or input stands for, itself where this cannot be told."""
    for _ in range(MAX_STEPS):
        match = _VARIABLE.fullmatch(text)
        value = values.get(next(filter(None, match.groups())), "") if match else ""
        if not value:
            return text
        text = value
    return text


def _is_include_pinned(key: str, texts: Mapping[str, str]) -> bool:
    if key == "remote":
        return bool(texts.get("integrity"))
    version = texts.get("ref", "") if key == "project" else texts[key].rpartition("@")[2]
    return version in _OWN_COMMIT or bool(_SHA.fullmatch(version))


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), value) for key, value in node.value)


def _get(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in _pairs(node) if key == name), None)


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the entries of a list; a `!reference` is read where it points to."""
    if isinstance(node, yaml.SequenceNode):
        return [] if node.tag == "!reference" else list(node.value)
    return [node] if node is not None else []
