"""`gitops fetch` brings what a commit's pointer names, proven by hash, and touches nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gitops.adapters.git.single import GitPlace, read_single
from gitops.errors import InputError
from gitops.flow.fetching import make_bundle_digest
from gitops.serving.bundle import make_digest
from gitops.serving.predictor import Predictor, parse_identity
from tests.dvc_place import read_tree
from tests.fetch_place import CARS, MODEL, TOKEN, Place, dvc, place, shared

__all__ = ["place", "shared"]


def test_a_release_becomes_a_bundle_that_the_server_loads_under_its_identity(
    place: Place, tmp_path: Path
) -> None:
    fetched = place.fetch(tmp_path / "models")
    assert read_tree(tmp_path / "models" / "bundle") == read_tree(place.bundle)
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"bundle", "identity.json"}
    document = json.loads((tmp_path / "models" / "identity.json").read_text("utf-8"))
    predictor = Predictor.load(tmp_path / "models" / "bundle", parse_identity(document))
    assert predictor.identity.version == "v1.2.0"
    assert predictor.identity.commit == place.commit
    assert predictor.predict([{"wght": 2448, "year": 76}]) == [pytest.approx(25, abs=5)]
    assert (fetched.files, fetched.through_dvc, fetched.changed) == (2, False, True)


def test_a_file_of_the_release_comes_alone_for_a_server_that_wants_one(
    place: Place, tmp_path: Path
) -> None:
    place.fetch(tmp_path / "models", f"{MODEL}/model.ubj")
    model = (place.bundle / "model.ubj").read_bytes()
    assert read_tree(tmp_path / "models") == {"model.ubj": model}


def test_a_tracked_file_lies_in_the_destination(place: Place, tmp_path: Path) -> None:
    fetched = place.fetch(tmp_path, "data/cars.csv")
    assert read_tree(tmp_path) == {"cars.csv": CARS}
    assert fetched.release is None


def test_a_folder_that_nobody_released_lies_in_the_destination(
    place: Place, tmp_path: Path
) -> None:
    commit = place.commit_without("data/models/fuel.release.json")
    place.fetch(tmp_path, MODEL, commit)
    assert read_tree(tmp_path) == read_tree(place.bundle)


def test_the_whole_way_is_one_command_that_loads_nothing_heavy(
    place: Place, tmp_path: Path
) -> None:
    code = "import sys; from gitops.cli import main; code = main(sys.argv[1:]); "
    code += "print(code, *sorted(sys.modules))"
    command = [sys.executable, "-c", code, "fetch", place.uri(), str(tmp_path / "models")]
    done = subprocess.run(
        command, env=place.environ(), capture_output=True, text=True, check=True, cwd=tmp_path
    )
    exit_code, *modules = done.stdout.split()
    assert exit_code == "0"
    assert "fuel v1.2.0: 2 files" in done.stderr
    heavy = {"dvc", "kfp", "numpy", "git", "requests", "botocore", "fsspec", "jsonschema"}
    assert not heavy & set(modules)


def test_git_sends_the_commit_and_three_small_files_in_two_exchanges(
    place: Place, tmp_path: Path
) -> None:
    place.fetch(tmp_path)
    lines = [request.line.partition(" ")[0] for request in place.git.requests]
    assert lines == ["GET", "POST", "GET", "POST"]
    # 40 files of 10,000 random bytes lie in the same commit.
    assert sum(request.answered for request in place.git.requests) < 6000
    assert len(place.store.requests) == 3


def read_three(place: Place, folder: Path) -> dict[str, bytes]:
    url = f"http://127.0.0.1:{place.git.port}/team/cars.git"
    where = GitPlace(
        url=url,
        host="127.0.0.1",
        port=place.git.port,
        addresses=("127.0.0.1",),
        environ=place.environ(),
    )
    paths = (".dvc/config", f"{MODEL}.dvc", f"{MODEL}.release.json", "no/such/file")
    return read_single(where, place.commit, paths, folder=folder)


def count_objects(folder: Path) -> dict[str, int]:
    command = ["git", "-C", str(folder), "cat-file", "--batch-all-objects", "--batch-check"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    kinds = [line.split()[1] for line in lines if line]
    return {kind: kinds.count(kind) for kind in set(kinds)}


def test_the_objects_of_other_files_stay_on_the_server(place: Place, tmp_path: Path) -> None:
    files = read_three(place, tmp_path / "git")
    assert sorted(files) == [".dvc/config", f"{MODEL}.dvc", f"{MODEL}.release.json"]
    assert files[f"{MODEL}.dvc"] == (place.work.path / f"{MODEL}.dvc").read_bytes()
    assert count_objects(tmp_path / "git") == {"commit": 1, "tree": 5, "blob": 3}


def test_a_server_that_cannot_filter_serves_as_well(place: Place, tmp_path: Path) -> None:
    bare = place.git.root / "team" / "cars.git"
    setting = ["git", "-C", str(bare), "config", "uploadpack.allowFilter"]
    subprocess.run([*setting, "false"], check=True)
    try:
        files = read_three(place, tmp_path / "git")
    finally:
        subprocess.run([*setting, "true"], check=True)
    assert len(files) == 3
    # Everything came at once, so nothing is asked for again.
    assert len(place.git.requests) == 2
    assert count_objects(tmp_path / "git")["blob"] > 40


@pytest.mark.parametrize("is_file", [False, True], ids=["variable", "mounted file"])
def test_the_token_goes_to_the_git_server_only(place: Place, tmp_path: Path, is_file: bool) -> None:
    place.git.token = TOKEN
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    name, value = ("_FILE", str(secret)) if is_file else ("", TOKEN)
    place.fetch(tmp_path / "models", extra={f"GITOPS_GIT_TOKEN{name}": value})
    assert (tmp_path / "models" / "bundle" / "model.ubj").exists()
    assert all(request.authorization for request in place.git.requests)


def test_fetched_again_nothing_changes(place: Place, tmp_path: Path) -> None:
    place.fetch(tmp_path / "models")
    before = {path: path.stat().st_ino for path in (tmp_path / "models").rglob("*")}
    assert not place.fetch(tmp_path / "models").changed
    assert {path: path.stat().st_ino for path in (tmp_path / "models").rglob("*")} == before


@pytest.mark.parametrize("left", ["nothing", "half a download", "a bundle without its identity"])
def test_a_fetch_that_was_killed_and_runs_again_converges(
    place: Place, tmp_path: Path, left: str
) -> None:
    (tmp_path / ".gitops-fetch" / "got").mkdir(parents=True)
    if left != "nothing":
        (tmp_path / ".gitops-fetch" / "got" / "model.ubj").write_bytes(b"half")
    if left.startswith("a bundle"):
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "model.ubj").write_bytes(b"of an older commit")
    place.fetch(tmp_path)
    assert read_tree(tmp_path / "bundle") == read_tree(place.bundle)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "identity.json"}


def test_whoever_serves_may_read_what_was_fetched(place: Place, tmp_path: Path) -> None:
    place.fetch(tmp_path / "models")
    for path in (tmp_path / "models").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_names_lead_to_the_addresses_that_were_checked(place: Place, tmp_path: Path) -> None:
    asked: list[str] = []

    def read(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",)

    store = place.store.server_address[1]
    config = (place.work.path / ".dvc" / "config").read_text()
    commit = place.commit_files({".dvc/config": config.replace("127.0.0.1", "store.test")})
    hosts = f"gitlab.test:{place.git.port},store.test:{store}"
    names = ("GITOPS_ALLOWED_HOSTS", "GITOPS_PRIVATE_HOSTS", "GITOPS_HTTP_HOSTS")
    place.fetch(
        tmp_path,
        commit=commit,
        host=f"gitlab.test:{place.git.port}",
        read=read,
        extra=dict.fromkeys(names, hosts),
    )
    # Neither name exists: only the addresses given can have been connected to.
    assert asked == ["gitlab.test", "store.test"]
    assert (tmp_path / "identity.json").exists()


def test_a_remote_in_a_folder_of_the_machine_is_read_without_a_network(
    place: Place, tmp_path: Path
) -> None:
    dvc(place.work.path, "remote", "add", "--quiet", "disk", str(tmp_path / "disk"))
    dvc(place.work.path, "push", "--quiet", "--remote", "disk")
    config = f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {tmp_path / 'disk'}\n"
    commit = place.commit_files({".dvc/config": config})
    place.store.requests.clear()
    place.fetch(tmp_path / "models", commit=commit)
    assert read_tree(tmp_path / "models" / "bundle") == read_tree(place.bundle)
    assert not place.store.requests


def test_a_file_that_occurs_twice_is_downloaded_once(place: Place, tmp_path: Path) -> None:
    for name in ("a", "b", "deep/c"):
        place.work.write(f"data/same/{name}", "the same bytes")
    dvc(place.work.path, "add", "--quiet", "data/same")
    dvc(place.work.path, "push", "--quiet")
    commit = place.commit_files({})
    place.store.requests.clear()
    place.fetch(tmp_path, "data/same", commit)
    assert read_tree(tmp_path) == dict.fromkeys(["a", "b", "deep/c"], b"the same bytes")
    assert len(place.store.requests) == 2


def test_the_digest_is_the_one_that_bundles_have(place: Place, tmp_path: Path) -> None:
    assert make_bundle_digest(place.bundle) == make_digest(place.bundle)
    (tmp_path / "\u00fcmlaut.bin").write_bytes(b"x")
    assert make_bundle_digest(tmp_path) == make_digest(tmp_path)


def test_what_is_not_tracked_is_said_to_be_so(place: Place, tmp_path: Path) -> None:
    cases = {
        "data/models/other": "no data/models/other.dvc",
        f"{MODEL}/model.json": "no file 'model.json'",
        "data/cars.csv/x": "cannot hold 'x'",
        "other/1.bin": "no other/1.bin.dvc",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message):
            place.fetch(tmp_path / "models", path)
        assert not list((tmp_path / "models").iterdir())
