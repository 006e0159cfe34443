"""The result store on a real S3 protocol server: whole entries or none, the same for every machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from gitops.config import Zone
from tests.s3_place import S3Fault
from tests.store_kit import CONTENT, DIGEST, ENTRY, QUICK, Machines, fill, machines, read_tree, s3

__all__ = ["machines", "s3"]

ROOT = Path(__file__).parent.parent


def test_what_one_machine_stored_another_finds_byte_by_byte(machines: Machines) -> None:
    first, second = machines.store("first"), machines.store("second")
    assert not second.has("bundles", DIGEST)
    assert not second.find("bundles", DIGEST).exists()
    assert read_tree(first.write_folder("bundles", DIGEST, fill)) == CONTENT
    assert second.has("bundles", DIGEST)
    assert read_tree(second.find("bundles", DIGEST)) == CONTENT
    assert machines.s3.keys()[-1] == f"{ENTRY}/index.json"


def test_what_lies_in_the_cache_needs_no_object_store(machines: Machines) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    machines.s3.fault = S3Fault.DROP
    again = machines.store("first", limits=QUICK)
    assert again.has("bundles", DIGEST)
    assert read_tree(again.find("bundles", DIGEST)) == CONTENT


KILLED = """
import os, signal, sys
from pathlib import Path
from gitops.adapters.store import ObjectStore, Store
from gitops.config import Zone
from tests.store_kit import DIGEST, fill

remote = ObjectStore(sys.argv[1])
remote._filesystem._pipe_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Store(Path(sys.argv[2]), Zone.PROTECTED, remote).write_folder("bundles", DIGEST, fill)
"""


def test_a_writer_killed_before_its_last_object_leaves_nothing_visible(machines: Machines) -> None:
    address = f"s3://{machines.s3.bucket}/results"
    command = [sys.executable, "-c", KILLED, address, str(machines.folder / "first")]
    killed = subprocess.run(command, check=False, timeout=60, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert set(machines.s3.keys()) == {machines.key("bundle.json"), machines.key("trees/model.ubj")}
    for name in ("first", "second"):
        assert not machines.store(name).has("bundles", DIGEST)
    machines.store("first").write_folder("bundles", DIGEST, fill)
    assert read_tree(machines.store("second").find("bundles", DIGEST)) == CONTENT


def test_what_unmerged_code_stored_is_not_found_by_a_protected_run(machines: Machines) -> None:
    machines.store("same", Zone.UNTRUSTED).write_folder("bundles", DIGEST, fill)
    for name in ("same", "other"):
        assert not machines.store(name, Zone.PROTECTED).has("bundles", DIGEST)
        assert not machines.store(name, Zone.PROTECTED).find("bundles", DIGEST).exists()


# Two writers


def test_a_second_writer_does_not_overwrite_and_gets_the_first_one_s_bytes(
    machines: Machines,
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)

    def fill_other(folder: Path) -> None:
        raise AssertionError(f"{folder} is not needed")

    place = machines.store("second").write_folder("bundles", DIGEST, fill_other)
    assert read_tree(place) == CONTENT


def test_of_two_writers_at_once_one_wins_and_both_have_its_bytes(machines: Machines) -> None:
    barrier = threading.Barrier(2)
    places: dict[str, Path] = {}

    def write(name: str) -> None:
        def fill_own(folder: Path) -> None:
            barrier.wait()
            (folder / "who").write_text(name)
            (folder / "same").write_text("same")

        places[name] = machines.store(name).write_folder("bundles", DIGEST, fill_own)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trees = [read_tree(places[name]) for name in ("one", "two")]
    assert trees[0] == trees[1] == read_tree(machines.store("three").find("bundles", DIGEST))
    assert trees[0]["who"] in {b"one", b"two"}
