"""Fixtures: a Kubeflow Pipelines to talk to, and compiled pipelines to run there.

With --cluster it is a real one: GITOPS_TEST_KFP_HOST (a port-forward on 127.0.0.1:8888 if not set),
GITOPS_TEST_KFP_NAMESPACE, GITOPS_KFP_TOKEN if it asks for one, and GITOPS_TEST_IMAGE, an image with kfp.
The namespace has the secret `push` with the key `token`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from tests.fake_kubeflow.running import make_connection, serve_fake_kubeflow
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.tiny import compile_slow, compile_tiny
from tests.fake_kubeflow.world import Mode

IMAGE = os.environ.get("GITOPS_TEST_IMAGE", "python:3.11")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The compiled pipeline `tiny(word, count=3)`: `release` gets the secret `push`, key `token`."""
    return compile_tiny(tmp_path_factory.mktemp("tiny"), image=IMAGE)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The compiled pipeline `slow(seconds=60)`."""
    return compile_slow(tmp_path_factory.mktemp("slow"), image=IMAGE)


def connect_real() -> Connection:
    """Return a connection to the Kubeflow that the environment names."""
    return Connection(
        host=os.environ.get("GITOPS_TEST_KFP_HOST", "http://127.0.0.1:8888"),
        namespace=os.environ.get("GITOPS_TEST_KFP_NAMESPACE", "kubeflow"),
        read_token=lambda: os.environ.get("GITOPS_KFP_TOKEN", ""),
    )


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """A server that executes what it is given."""
    if request.config.getoption("--cluster"):
        yield connect_real()
        return
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
