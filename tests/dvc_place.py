"""A repository, its DVC cache and a remote, and objects put into them by hand, for tests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.dvc import Remote, fetch, find_missing, prove, push
from gitops.adapters.dvc.objects import object_path
from gitops.pointer import Pointer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.faulty_remote import FaultyRemote

CARS = b"mpg,wght\n18,3504\n25,2448\n"
TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository with a cache, and a remote."""

    repository: Path
    remote: Remote

    @property
    def cache(self) -> Path:
        return self.repository / ".dvc" / "cache"

    def missing(self, *pointers: Pointer) -> list[str]:
        found = find_missing(self.remote, pointers, cache=self.cache, timeout=TIMEOUT)
        return [f"{missing.object}: {missing.reason}" for missing in found]

    def push(self, pointer: Pointer, timeout: float = TIMEOUT) -> None:
        push(self.remote, pointer, cache=self.cache, timeout=timeout)

    def prove(self, pointer: Pointer, timeout: float = TIMEOUT) -> None:
        prove(self.remote, pointer, cache=self.cache, timeout=timeout)

    def fetch(self, pointer: Pointer, name: str = "fetched", timeout: float = TIMEOUT) -> Path:
        return fetch(
            self.remote,
            pointer,
            cache=self.cache,
            repository=self.repository,
            destination=self.repository / name,
            timeout=timeout,
        )


def make_place(folder: Path, url: str = "") -> Place:
    """Make an empty repository below `folder`, with a remote at `url` or in a folder beside it."""
    name = "http" if url else "local"
    remote = Remote(name=name, url=url or str(folder / "remote"))
    return Place(repository=make_repository(folder / f"repository-{name}"), remote=remote)


def make_repository(path: Path) -> Path:
    (path / ".dvc").mkdir(parents=True)
    return path


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def make_pointer(name: str, size: int | None = None, target: str = "data/cars.csv") -> Pointer:
    directory = name.endswith(".dir")
    return Pointer(
        path=f"{target}.dvc", target=target, md5=name, size=size, files=None, directory=directory
    )


def put(folder: Path, content: bytes, suffix: str = "") -> str:
    """Put an object into a cache or a folder remote; return its name."""
    name = md5(content) + suffix
    path = object_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def put_listing(folder: Path, files: Mapping[str, str]) -> Pointer:
    listing = [{"md5": name, "relpath": path} for path, name in files.items()]
    return make_pointer(put(folder, json.dumps(listing).encode(), ".dir"), target="data/model")


def put_file(folder: Path, content: bytes = CARS) -> Pointer:
    return make_pointer(put(folder, content), size=len(content))


def upload(server: FaultyRemote, content: bytes, suffix: str = "") -> str:
    name = md5(content) + suffix
    server.objects[f"/files/md5/{name[:2]}/{name[2:]}"] = content
    return name


def make_bundle(folder: Path, **more: str) -> Path:
    for path, text in {"bundle.json": "{}", "trees/model.ubj": "oak", **more}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def read_tree(folder: Path) -> dict[str, bytes | str]:
    """Return every path below a folder with its bytes, or where it links to."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
