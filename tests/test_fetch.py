"""`gitops fetch` brings what a commit's pointer names, proven by hash, and touches nothing else."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.adapters.dvc import Remote
from gitops.adapters.dvc.direct_s3 import find_s3
from gitops.adapters.git.single import GitPlace, read_single
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.flow.fetching import make_bundle_digest
from gitops.serving.bundle import make_digest
from gitops.serving.predictor import Predictor, parse_identity
from tests.dvc_place import read_tree
from tests.faulty_remote import FaultyRemote
from tests.fetch_place import CARS, MODEL, Place, dvc, make_place
from tests.git_server import GitServer
from tests.s3_place import KEY, SECRET, S3Fault, S3Place, serve_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "glpat-canary-0123456789"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with make_place(tmp_path_factory.mktemp("fetch")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    objects = dict(shared.objects)
    shared.git.requests.clear()
    shared.store.requests.clear()
    yield shared
    shared.git.token = ""
    shared.store.objects = objects


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


# S3 and TLS: the way of a real cluster.


@contextmanager
def checked_signatures(s3: S3Place) -> Iterator[dict[str, str]]:
    """Let the server verify each signature; give the credentials of somebody who may read."""
    import boto3  # type: ignore[import-untyped] # it has no stubs
    import moto.settings

    secrets = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    iam = boto3.client("iam", endpoint_url=s3.url, region_name="us-east-1", **secrets)
    iam.create_user(UserName="pod")
    rule = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_user_policy(UserName="pod", PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName="pod")["AccessKey"]
    moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    try:
        yield {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    finally:
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        iam.delete_access_key(UserName="pod", AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName="pod", PolicyName="read")
        iam.delete_user(UserName="pod")


def test_a_remote_on_s3_that_dvc_filled_is_read_with_signed_requests(
    place: Place, tmp_path: Path
) -> None:
    with serve_s3() as s3:
        address = s3.url.removeprefix("http://")
        options = {"endpointurl": s3.url, "region": "us-east-1"}
        url = f"s3://{s3.bucket}/team ~one/dvc"
        config = place.render_config(url, **options)
        place.work.write(".dvc/config", config)
        dvc(place.work.path, "push", "--quiet", **s3.environ)
        commit = place.commit_files({".dvc/config": config})
        s3.requests.clear()
        with checked_signatures(s3) as credentials:
            hosts = place.admit(address)
            fetched = place.fetch(tmp_path / "a", commit=commit, extra={**hosts, **credentials})
            assert (fetched.through_dvc, len(s3.requests)) == (False, 3)
            assert read_tree(tmp_path / "a" / "bundle") == read_tree(place.bundle)
            wrong = {**hosts, **credentials, "AWS_SECRET_ACCESS_KEY": "canary"}
            with pytest.raises(OutsideError, match="HTTP 403") as caught:
                place.fetch(tmp_path / "b", commit=commit, extra=wrong)
            assert "credentials" in caught.value.hint
        s3.fault = S3Fault.UNAVAILABLE
        with pytest.raises(OutsideError, match="HTTP 503"):
            place.fetch(tmp_path / "b", commit=commit, extra={**hosts, **s3.environ})
        s3.fault = S3Fault.NONE
        with pytest.raises(RefusedError, match="host that may be asked"):
            place.fetch(tmp_path / "b", commit=commit, extra=s3.environ)
        assert not list((tmp_path / "b").iterdir())


def test_amazon_itself_is_asked_at_the_address_of_bucket_and_region(tmp_path: Path) -> None:
    def find(url: str, environ: dict[str, str], **options: str) -> tuple[str, str, bool]:
        remote = Remote(name="s3", url=url, options=tuple(sorted(options.items())))
        found = find_s3(remote, environ)
        return found.origin, found.folder, found.is_listed

    host = "https://team-models.s3.eu-central-1.amazonaws.com"
    assert find("s3://team-models/dvc", {"AWS_REGION": "eu-central-1"}) == (host, "/dvc", False)
    dotted = find("s3://team.models", {}, region="cn-north-1")
    assert dotted == ("https://s3.cn-north-1.amazonaws.com.cn", "/team.models", False)
    own = find("s3://b-1/x", {"AWS_ENDPOINT_URL": "https://minio.svc:9000/"})
    assert own == ("https://minio.svc:9000", "/b-1/x", True)


def write_certificate(folder: Path, name: str) -> Path:
    """Write a certificate that vouches for itself, and its key, into one file."""
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    (folder / "both").write_bytes(
        (folder / "key").read_bytes() + (folder / "certificate").read_bytes()
    )
    return folder / "certificate"


@contextmanager
def serve_tls(server: ThreadingHTTPServer, both: Path) -> Iterator[int]:
    """Serve with TLS until the block ends; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    with server:
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def test_certificates_are_those_of_the_names_and_of_nobody_else(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = write_certificate(tmp_path, "server.test")
    store = FaultyRemote()
    store.objects = dict(place.objects)
    git = GitServer(place.git.root)
    with serve_tls(store, tmp_path / "both") as port, serve_tls(git, tmp_path / "both") as git_port:
        commits = {
            name: place.commit_files(
                {".dvc/config": place.render_config(f"https://{name}:{port}/dvc")}
            )
            for name in ("server.test", "other.test")
        }

        def fetch(host: str, name: str, **environ: str) -> None:
            hosts = f"{host}:{git_port},{name}:{port}"
            listed = {"GITOPS_ALLOWED_HOSTS": hosts, "GITOPS_PRIVATE_HOSTS": hosts}
            place.fetch(
                tmp_path / "models",
                commit=commits[name],
                host=f"{host}:{git_port}",
                read=lambda *_: ("127.0.0.1",),
                extra={**listed, "GITOPS_HTTP_HOSTS": "", **environ},
            )

        trusted = {"SSL_CERT_FILE": str(authority)}
        with pytest.raises(OutsideError, match="certificate"):
            fetch("server.test", "server.test")
        with pytest.raises(OutsideError, match=r"certificate|SSL"):
            fetch("other.test", "server.test", **trusted)
        with pytest.raises(OutsideError, match="SSLCertVerificationError"):
            fetch("server.test", "server.test", **trusted)
        # OpenSSL reads the variable of the process.
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with pytest.raises(OutsideError, match="SSLCertVerificationError"):
            fetch("server.test", "other.test", **trusted)
        with pytest.raises(OutsideError, match="certificate"):
            fetch("server.test", "server.test", GIT_SSL_NO_VERIFY="1")
        fetch("server.test", "server.test", **trusted)
        assert read_tree(tmp_path / "models" / "bundle") == read_tree(place.bundle)
