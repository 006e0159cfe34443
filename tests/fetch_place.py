"""A Git server, DVC's own objects on HTTP, and a released model with its commit, for tests of `fetch`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gitops.digest import make_digest as digest_value
from gitops.errors import GitopsError
from gitops.flow.fetching import Fetched, fetch_source
from gitops.flow.reaching import ReadAddresses, read_addresses
from gitops.manifest import (
    DataDigest,
    ReleaseManifest,
    VerdictDigest,
    make_release_id,
    render_manifest,
)
from gitops.pointer import parse_pointer
from gitops.serving.bundle import make_digest, write_bundle
from gitops.source import Limits
from tests.faulty_remote import Fault, FaultyRemote, serve_faulty_remote
from tests.git_server import GitServer, serve_git
from tests.repositories import ENVIRONMENT, Repository, make_bare, make_repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODEL = "data/models/fuel"
TOKEN = "glpat-canary-0123456789"
CARS = b"mpg,wght\n18,3504\n25,2448\n"
IMPATIENT = Limits(connect_seconds=1, read_seconds=0.5, total_seconds=20, attempts=1)


@dataclass
class Place:
    """Everything that a fetch needs.

    Attributes:
        folder: where its files are; each test works in one of its own.
        work: the work tree that the commits come from.
        git: the Git server.
        store: DVC's remote.
        commit: the release, with `data/cars.csv` beside it.
    """

    folder: Path
    work: Repository
    git: GitServer
    store: FaultyRemote
    commit: str

    @property
    def bundle(self) -> Path:
        return self.work.path / MODEL

    @property
    def objects(self) -> dict[str, bytes]:
        return self.store.objects

    def object_of(self, file: str) -> str:
        """Return where the store has the object of a file of the work tree."""
        content = (self.work.path / file).read_bytes()
        return next(path for path, found in self.objects.items() if found == content)

    def uri(self, path: str = MODEL, commit: str = "", host: str = "") -> str:
        where = host or f"127.0.0.1:{self.git.port}"
        return f"dvc://{where}/team/cars@{commit or self.commit}/{path}"

    def environ(self) -> dict[str, str]:
        hosts = f"127.0.0.1:{self.git.port},127.0.0.1:{self.store.server_address[1]}"
        names = ("GITOPS_ALLOWED_HOSTS", "GITOPS_PRIVATE_HOSTS", "GITOPS_HTTP_HOSTS")
        return {"PATH": os.environ["PATH"], **dict.fromkeys(names, hosts)}

    def admit(self, *more: str) -> dict[str, str]:
        """Return what lets these hosts be asked too, with private addresses and without TLS."""
        names = ("GITOPS_ALLOWED_HOSTS", "GITOPS_PRIVATE_HOSTS", "GITOPS_HTTP_HOSTS")
        return {name: ",".join((self.environ()[name], *more)) for name in names}

    def render_config(self, url: str, **options: str) -> str:
        """Return the text of `.dvc/config` with this remote instead."""
        lines = [f"    {key} = {value}" for key, value in {"url": url, **options}.items()]
        return "\n".join(["[core]", "    remote = x", "['remote \"x\"']", *lines, ""])

    def fetch(
        self,
        target: Path,
        path: str = MODEL,
        commit: str = "",
        *,
        host: str = "",
        read: ReadAddresses = read_addresses,
        limits: Limits = IMPATIENT,
        extra: Mapping[str, str] | None = None,
    ) -> Fetched:
        return fetch_source(
            self.uri(path, commit, host),
            target,
            environ={**self.environ(), **(extra or {})},
            limits=limits,
            read=read,
        )

    def commit_files(self, files: dict[str, str | bytes]) -> str:
        """Commit files on top of the release and push; the work tree goes back afterwards."""
        return self._push(self.work.commit_files(files))

    def commit_without(self, path: str) -> str:
        """Commit that a file is gone."""
        (self.work.path / path).unlink()
        return self._push(self.work.commit())

    def _push(self, commit: str) -> str:
        bare = self.git.root / "team" / "cars.git"
        self.work.git("push", "--quiet", str(bare), f"{commit}:refs/heads/branch-{commit}")
        self.work.git("reset", "--quiet", "--hard", self.commit)
        return commit


@contextmanager
def make_place(folder: Path) -> Iterator[Place]:
    """Make the repository with DVC itself, push its objects over HTTP, and serve both."""
    work = make_repository(folder / "work")
    bare = make_bare(folder / "served" / "team" / "cars.git")
    bare.git("config", "uploadpack.allowFilter", "true")
    with serve_faulty_remote() as store, serve_git(folder / "served") as git:
        write_model(work.path / MODEL)
        work.write("data/cars.csv", CARS)
        # Files of other models and teams, which a fetch must leave where they are.
        for number in range(40):
            work.write(f"other/{number}.bin", os.urandom(10_000))
        dvc(work.path, "init", "--quiet")
        dvc(work.path, "remote", "add", "--quiet", "--default", "http", f"{store.url}/dvc")
        dvc(work.path, "add", "--quiet", MODEL, "data/cars.csv")
        dvc(work.path, "push", "--quiet")
        write_release(work.path, MODEL)
        commit = work.commit("Release")
        work.git("push", "--quiet", str(bare.path), "HEAD:refs/heads/main")
        yield Place(folder, work, git, store, commit)


def write_model(folder: Path) -> None:
    """Write a bundle as training does."""
    import pandas as pd
    import xgboost

    inputs = pd.DataFrame({"wght": [3504.0, 2448.0, 3000.0] * 9, "year": [70.0, 76.0, 80.0] * 9})
    model = xgboost.XGBRegressor(n_estimators=60)
    model.fit(inputs, [18.0, 25.0, 22.0] * 9)
    write_bundle(folder, model=model, inputs=inputs, target="mpg")


def write_release(root: Path, path: str) -> ReleaseManifest:
    """Write the manifest of a tracked bundle beside its pointer."""
    manifest = make_manifest(root, path)
    (root / f"{path}.release.json").write_bytes(render_manifest(manifest))
    return manifest


def make_manifest(root: Path, path: str) -> ReleaseManifest:
    pointer = parse_pointer((root / f"{path}.dvc").read_bytes(), f"{path}.dvc")
    bundle, fingerprint, key = (
        make_digest(root / path),
        digest_value("fingerprint"),
        digest_value("key"),
    )
    return ReleaseManifest(
        model="fuel",
        version="v1.2.0",
        release=make_release_id(fingerprint, bundle, key),
        fingerprint=fingerprint,
        bundle=bundle,
        holdout=digest_value("holdout"),
        policy=digest_value("policy"),
        pointer_md5=pointer.md5,
        source="1" * 40,
        date="2026-01-05T10:00:00+00:00",
        merge_request="",
        data=(DataDigest(path="data/cars.csv", md5="a" * 32),),
        verdict=VerdictDigest(key=key, outcome="PASS", reason="fine"),
        metrics=(),
        previous="",
    )


def dvc(folder: Path, *arguments: str, **more: str) -> None:
    """Run DVC as a person would."""
    environ = {
        **ENVIRONMENT,
        "HOME": str(folder.parent),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"dvc {arguments}: {done.stdout}{done.stderr}")


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
    shared.git.token = shared.git.redirect = ""
    shared.git.fault = shared.store.fault = Fault.NONE
    shared.store.objects = objects


@contextmanager
def refused(kind: type[GitopsError], match: str, folder: Path) -> Iterator[None]:
    """Expect this error, and that the destination holds nothing afterwards."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert caught.type is kind
    assert not folder.exists() or not list(folder.iterdir())
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


def configure(place: Place, url: str, **options: str) -> str:
    """Commit another remote; return the commit."""
    return place.commit_files({".dvc/config": place.render_config(url, **options)})
