"""Whatever lies in the destination or ends the process, `gitops fetch` leaves whole files or none."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitops.errors import InputError, OutsideError
from tests.dvc_place import read_tree
from tests.faulty_remote import Fault
from tests.fetch_place import Place, place, refused, shared

__all__ = ["place", "shared"]


def test_a_link_on_the_way_to_the_destination_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".gitops-fetch").symlink_to(tmp_path / "elsewhere")
    for target in ("link", "link/models", "models", "models/../link"):
        with pytest.raises(InputError, match=r"symbolic link|`\.\.`"):
            place.fetch(tmp_path / target)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert not place.git.requests


@pytest.mark.parametrize("name", ["bundle", "identity.json", "notes.txt", ".hidden"])
def test_what_lies_in_the_destination_is_never_overwritten(
    place: Place, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        place.fetch(tmp_path)
    assert read_tree(tmp_path) == {name: b"mine"}


def test_a_link_among_equal_files_is_not_taken_for_the_file(place: Place, tmp_path: Path) -> None:
    place.fetch(tmp_path / "models")
    model = tmp_path / "models" / "bundle" / "model.ubj"
    model.rename(tmp_path / "model.ubj")
    model.symlink_to(tmp_path / "model.ubj")
    with pytest.raises(InputError, match="is not empty"):
        place.fetch(tmp_path / "models")


def test_a_disk_without_room_is_seen_before_the_download(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 5000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with refused(OutsideError, "5,000 are free", tmp_path):
        place.fetch(tmp_path)
    assert len(place.store.requests) == 1


def test_a_disk_that_takes_no_more_leaves_nothing_and_is_worth_a_retry(
    place: Place, tmp_path: Path
) -> None:
    # A limit on the size of files fails a write like a full disk, in a real process.
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000)); "
    code += "from gitops.cli import main; sys.exit(main(sys.argv[1:]))"
    assert (place.bundle / "model.ubj").stat().st_size > 15_000
    command = [sys.executable, "-B", "-c", code, "fetch", place.uri(), str(tmp_path / "models")]
    done = subprocess.run(
        command, env=place.environ(), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 4, done.stderr
    assert "File too large" in done.stderr
    assert not list((tmp_path / "models").iterdir())


def test_killed_in_the_middle_and_run_again_it_converges(place: Place, tmp_path: Path) -> None:
    arrived = threading.Event()
    place.store.objects = _Telling(place.objects, arrived)
    place.store.fault = Fault.NONE
    command = [sys.executable, "-m", "gitops", "fetch", place.uri(), str(tmp_path / "models")]
    with subprocess.Popen(
        command, env=place.environ(), cwd=Path(__file__).parent.parent, stderr=sys.stderr.fileno()
    ) as process:
        assert arrived.wait(30)
        process.send_signal(signal.SIGKILL)
    place.store.objects.hold.set()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".gitops-fetch"]
    place.fetch(tmp_path / "models")
    assert read_tree(tmp_path / "models" / "bundle") == read_tree(place.bundle)
    assert not (tmp_path / "models" / ".gitops-fetch").exists()


class _Telling(dict[str, bytes]):
    """Objects that tell when one of the model's files is asked for, and then wait."""

    def __init__(self, objects: dict[str, bytes], asked: threading.Event) -> None:
        super().__init__(objects)
        self.asked = asked
        self.hold = threading.Event()

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override] # a narrower one suffices
        if not path.endswith(".dir"):
            self.asked.set()
            self.hold.wait(30)
        return super().get(path, default)
