"""`gitops fetch` in a real cluster's way: S3 with signed requests, and TLS with checked certificates."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.adapters.dvc import Remote
from gitops.adapters.dvc.direct_s3 import find_s3
from gitops.errors import OutsideError, RefusedError
from tests.dvc_place import read_tree
from tests.faulty_remote import FaultyRemote
from tests.fetch_place import Place, dvc, place, shared
from tests.git_server import GitServer
from tests.s3_place import KEY, SECRET, S3Fault, S3Place, serve_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["place", "shared"]


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
