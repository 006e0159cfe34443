"""An object store or a disk that fails: an error with its place in bounded time, and nothing half done."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from gitops.errors import GitopsError, OutsideError
from tests.s3_place import SECRET, S3Fault
from tests.store_kit import CONTENT, DIGEST, ENTRY, QUICK, Machines, fill, machines, read_tree, s3

__all__ = ["machines", "s3"]

# F1: an object store that fails


@pytest.mark.parametrize(
    "fault", [S3Fault.UNAVAILABLE, S3Fault.FORBIDDEN, S3Fault.DROP, S3Fault.HANG]
)
def test_a_failing_object_store_is_an_error_with_its_address_and_never_means_absent(
    machines: Machines, fault: S3Fault
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    machines.s3.fault = fault
    broken = machines.store("second", limits=QUICK)
    for ask in (broken.has, broken.find):
        with pytest.raises(OutsideError, match="the store cannot be read") as caught:
            ask("bundles", DIGEST)
        assert caught.value.where == f"s3://{machines.s3.bucket}/{ENTRY}"
        assert "run again" in caught.value.hint
    assert machines.left("second") == []


@pytest.mark.parametrize("fault", [S3Fault.UNAVAILABLE, S3Fault.DROP, S3Fault.HANG])
def test_an_upload_that_breaks_off_leaves_nothing_visible_and_is_repeated(
    machines: Machines, fault: S3Fault
) -> None:
    machines.s3.fault, machines.s3.only = fault, ("PUT", "POST")
    with pytest.raises(OutsideError, match="the store cannot be written"):
        machines.store("first", limits=QUICK).write_folder("bundles", DIGEST, fill)
    assert (machines.s3.keys(), machines.left("first")) == ([], [])
    machines.s3.fault = S3Fault.NONE
    machines.store("first").write_folder("bundles", DIGEST, fill)
    assert read_tree(machines.store("second").find("bundles", DIGEST)) == CONTENT


def test_a_lost_reply_to_the_last_write_is_no_failure(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machines.store("first")
    assert first.remote is not None
    write = first.remote._filesystem._pipe_file

    async def write_and_lose_the_reply(*given: Any, **named: Any) -> None:
        await write(*given, **named)
        raise ConnectionResetError

    monkeypatch.setattr(first.remote._filesystem, "_pipe_file", write_and_lose_the_reply)
    assert read_tree(first.write_folder("bundles", DIGEST, fill)) == CONTENT


def test_no_message_shows_a_secret(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.store("first", limits=QUICK)
    assert store.remote is not None

    def leak(*_: object, **__: object) -> None:
        raise RuntimeError(f"http://me:pass@host/x?X-Amz-Signature=abc with {SECRET}\x1b[2J")

    monkeypatch.setattr(store.remote._filesystem, "_cat_file", leak)
    with pytest.raises(OutsideError) as caught:
        store.has("bundles", DIGEST)
    said = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert not [word for word in (SECRET, "pass@", "abc", "\x1b") if word in said]


# F11: a full disk


def test_a_full_disk_while_downloading_is_an_error_with_its_place_and_leaves_nothing(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    write = os.pwrite

    def write_until_full(handle: int, content: bytes, offset: int) -> int:
        if offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, content, offset)

    monkeypatch.setattr(os, "pwrite", write_until_full)
    with pytest.raises(OutsideError, match="no space left on device") as caught:
        machines.store("second").find("bundles", DIGEST)
    assert str(machines.folder / "second") in caught.value.where
    assert "free some space" in caught.value.hint
    assert machines.left("second") == []
    monkeypatch.undo()


def test_a_full_disk_while_writing_reaches_neither_the_cache_nor_the_object_store(
    machines: Machines,
) -> None:
    def fill_until_full(folder: Path) -> None:
        fill(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    with pytest.raises(OutsideError, match="no space left on device"):
        machines.store("first").write_folder("bundles", DIGEST, fill_until_full)
    assert (machines.s3.keys(), machines.left("first")) == ([], [])


def test_every_failure_of_the_store_is_one_of_ours(machines: Machines) -> None:
    machines.s3.client.delete_bucket(Bucket=machines.s3.bucket)
    with pytest.raises(GitopsError, match="the store cannot be written: FileNotFoundError"):
        machines.store("first").write_folder("bundles", DIGEST, fill)
