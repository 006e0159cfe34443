"""Several machines that share one result store on a real S3 protocol server, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitops.adapters.store import Limits, ObjectStore, Store
from gitops.config import Zone
from tests.s3_place import S3Place, serve_s3

DIGEST = "sha256:" + "a" * 64
ENTRY = f"results/protected/bundles/{'a' * 64}"
MODEL = b"trees" * 2_000_000  # more than one range of a download
QUICK = Limits(connect=1, answer=1, ask=2, transfer=2)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    with serve_s3() as place:
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)
        yield place


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Several machines with an empty cache each, and one object store."""

    s3: S3Place
    folder: Path

    def store(self, name: str, zone: Zone = Zone.PROTECTED, limits: Limits | None = None) -> Store:
        remote = ObjectStore(f"s3://{self.s3.bucket}/results", limits)
        return Store(self.folder / name, zone, remote)

    def key(self, name: str) -> str:
        sha256 = hashlib.sha256(CONTENT[name]).hexdigest()
        return f"{ENTRY}/files/{sha256}"

    def left(self, name: str) -> list[Path]:
        return [path for path in (self.folder / name).rglob("*") if path.is_file()]


@pytest.fixture
def machines(s3: S3Place, tmp_path: Path) -> Machines:
    return Machines(s3=s3, folder=tmp_path)


CONTENT = {"bundle.json": b"{}", "trees/model.ubj": MODEL, "empty": b""}


def fill(folder: Path) -> None:
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)


def read_tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
