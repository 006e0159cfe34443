"""Fixtures: a Kubeflow Pipelines to talk to, and compiled pipelines to run there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from tests.fake_kubeflow.running import make_connection, serve_fake_kubeflow
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.tiny import compile_slow, compile_tiny
from tests.fake_kubeflow.world import Mode


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The compiled pipeline `tiny(word, count=3)`: `release` gets the secret `push`, key `token`."""
    return compile_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The compiled pipeline `slow(seconds=60)`."""
    return compile_slow(tmp_path_factory.mktemp("slow"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Connection]:
    """A server that executes what it is given."""
    secrets = {"push": {"token": "push-secret"}}
    with serve_fake_kubeflow(tmp_path / "kubeflow", secrets=secrets) as fake:
        yield make_connection(fake)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKubeflow]:
    """A server whose runs stay as a test wants them."""
    with serve_fake_kubeflow(tmp_path / "kubeflow", mode=Mode.HOLD) as server:
        yield server


@pytest.fixture
def kubeflow(fake: FakeKubeflow) -> Iterator[Cluster]:
    """The client of `fake`."""
    with Cluster(make_connection(fake)) as client:
        yield client
