"""An entry of the result store whose files or index are not what was stored is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitops.adapters.store.index import parse_index, read_folder, render_index
from gitops.errors import InputError, OutsideError
from tests.store_kit import CONTENT, DIGEST, ENTRY, MODEL, Machines, fill, machines, s3

__all__ = ["machines", "s3"]

# T15: bytes that are not those that were stored

Damage = Callable[[Machines], None]


def flip_a_byte(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), b"T" + MODEL[1:])


def truncate(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), MODEL[: len(MODEL) - 1])


def truncate_to_nothing(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), b"")


def delete(machines: Machines) -> None:
    machines.s3.delete(machines.key("trees/model.ubj"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, "has other bytes"),
        (truncate, "has other bytes"),
        (truncate_to_nothing, "has other bytes"),
        (delete, "is not there"),
    ],
)
def test_a_file_that_was_changed_on_the_object_store_is_refused_and_not_kept(
    machines: Machines, damage: Damage, said: str
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    damage(machines)
    with pytest.raises(OutsideError, match=f"trees/model.ubj {said}") as caught:
        machines.store("second").find("bundles", DIGEST)
    assert caught.value.where == f"s3://{machines.s3.bucket}/{ENTRY}"
    assert machines.left("second") == []


def index_of(*files: dict[str, Any]) -> bytes:
    return json.dumps({"schema_version": 1, "files": files}).encode()


def file(path: str = "a", sha256: object = "0" * 64, size: object = 1) -> dict[str, Any]:
    return {"path": path, "sha256": sha256, "size": size}


HOSTILE = {
    "climbs": index_of(file("../../../x")),
    "climbs in the middle": index_of(file("a/../../x")),
    "absolute": index_of(file("/etc/cron.d/x")),
    "backslash": index_of(file("a\\..\\x")),
    "control character": index_of(file("a\nb")),
    "empty": index_of(file("")),
    "dot": index_of(file("./a")),
    "long name": index_of(file("a" * 201)),
    "twice": index_of(file("a"), file("a")),
    "file inside a file": index_of(file("a"), file("a/b")),
    "hash is a path": index_of(file(sha256="../" * 21 + "x")),
    "hash is no text": index_of(file(sha256=1)),
    "negative": index_of(file(size=-1)),
    "true": index_of(file(size=True)),
    "too big": index_of(file(size=2**37)),
    "too big together": index_of(file("a", size=2**35), file("b", size=2**35 + 1)),
    "too many": index_of(*(file(str(number)) for number in range(10_001))),
    "a link": index_of({**file(), "link": "/etc/passwd"}),
    "no JSON": b"\xff",
    "deep": b"[" * 100_000,
    "huge": b" " * (4 * 2**20 + 2),
    "another version": json.dumps({"schema_version": 2, "files": []}).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="its index is refused"):
        parse_index(HOSTILE[name], "here")


def test_a_hostile_index_on_the_object_store_writes_nothing(machines: Machines) -> None:
    machines.s3.write(f"{ENTRY}/index.json", HOSTILE["climbs"])
    with pytest.raises(InputError, match="its index is refused"):
        machines.store("second").find("bundles", DIGEST)
    assert machines.left("second") == []


def test_a_folder_with_a_link_has_no_index(tmp_path: Path) -> None:
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="plain files only"):
        read_folder(tmp_path)


def test_an_index_comes_back_as_it_was_written(tmp_path: Path) -> None:
    fill(tmp_path)
    files = read_folder(tmp_path)
    assert {found.path: found.size for found in files} == {k: len(v) for k, v in CONTENT.items()}
    assert parse_index(render_index(files), "here") == files
