"""Fixtures: a Kubeflow Pipelines to talk to, compiled pipelines to run there, and an order to watch.

With --cluster it is a real one: GITOPS_TEST_KFP_HOST (a port-forward on 127.0.0.1:8888 if not set),
GITOPS_TEST_KFP_NAMESPACE, GITOPS_KFP_TOKEN if it asks for one, and GITOPS_TEST_IMAGE, an image with kfp.
The namespace has the secret `push` with the key `token`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.supervision import RunOrder, Started, Version
from tests.fake_kubeflow.running import make_connection, serve_fake_kubeflow
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.tiny import compile_slow, compile_tiny
from tests.fake_kubeflow.world import Mode

KEY = "fuel@v1.2.0"
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


@pytest.fixture
def version(fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes) -> Version:
    version = kubeflow.upload("fuel", "v1", tiny)
    fake.calls.clear()
    return version


@pytest.fixture
def order(version: Version) -> RunOrder:
    return RunOrder(
        key=KEY,
        experiment="fuel",
        namespace="team-a",
        version=version,
        arguments={"word": "hello", "count": 3},
        group="!7/fuel",
    )


def finish(fake: FakeKubeflow, run_id: str, state: str) -> bool:
    fake.world.runs[run_id].body["state"] = state
    return True


class Time:
    """A clock that only sleeping moves; what happens on the way is given by `then`."""

    def __init__(self, then: Callable[[float], object] = bool) -> None:
        self.seconds = 1000.0
        self.then = then

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.then(self.seconds - 1000.0)


def watch(kubeflow: Cluster, started: Started, time: Time, **facts: Any) -> Any:
    given = {"deadline": 3600.0, "poll": 10.0, "on_lines": lambda _: None, **facts}
    return kubeflow.watch(started.run_id, clock=time.clock, sleep=time.sleep, **given)
