"""The fake cluster's pods fail when told to, see their own environment only, and outlive nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_kubernetes import State, Workload, serve_kubernetes
from tests.fake_kubernetes.fixtures import (
    FIRST,
    NS,
    WHERE,
    Bench,
    bench,
    conditions,
    made,
    make_service,
    watch,
)
from tests.test_rollout import Made

__all__ = ["bench", "made"]


def test_faults_of_a_server(bench: Bench) -> None:
    bench.apply(make_service())
    bench.wait_for({FIRST: 100})
    host, faults = bench.host(), bench.cluster.faults
    faults.errors[FIRST] = 0.25
    assert Counter(bench.ask(host).status for _ in range(8)) == {200: 6, 500: 2}
    faults.errors.clear()
    faults.slow["*"] = 0.2
    before = time.monotonic()
    bench.ask(host)
    assert time.monotonic() - before >= 0.2
    faults.slow.clear()
    faults.crash[FIRST] = 2
    assert [bench.ask(host).status for _ in range(4)] == [200, 200, 503, 503]
    bench.cluster.wait(lambda: conditions(bench.read())["Ready"] == "False")
    assert bench.cluster.served[NS, FIRST] == 13


def test_readiness_flaps_and_comes_to_rest(bench: Bench) -> None:
    bench.apply(make_service())
    bench.wait_for({FIRST: 100})
    bench.cluster.wait(lambda: conditions(bench.read())["Ready"] == "True")
    version = bench.read()["metadata"]["resourceVersion"]
    bench.cluster.faults.flap = 4
    bench.cluster.wait(lambda: bench.cluster.faults.flap == 0)
    events = watch(bench, resource_version=version, timeout_seconds=1)
    states = [conditions(each["object"])["Ready"] for each in events]
    assert states == ["False", "True", "False", "True"]


def test_deleting_a_service_ends_its_pods(bench: Bench) -> None:
    bench.apply(make_service())
    bench.wait_for({FIRST: 100})
    (pod,) = bench.cluster.revisions(NS, "fuel")
    host = bench.host()
    bench.objects().delete_namespaced_custom_object(*WHERE, "fuel")
    bench.cluster.wait(lambda: bench.ask(host).status == 404)
    assert pod.process is not None
    pod.process.wait(10)


def test_nothing_outlives_the_block_not_even_when_the_test_fails(
    tmp_path: Path, made: dict[str, Made]
) -> None:
    def initialize(uri: str, folder: Path, environ: dict[str, str]) -> None:
        shutil.copytree(made["a"].folder, folder / "bundle")
        (folder / "identity.json").write_text(json.dumps({"model": "fuel"}))

    pods: list[Workload] = []

    def fail() -> None:
        with serve_kubernetes(tmp_path / "cluster", initialize=initialize) as cluster:
            bench = Bench(cluster, tmp_path)
            bench.apply(make_service())
            bench.wait_for({FIRST: 100})
            pods.extend(cluster.revisions(NS, "fuel"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (pod,) = pods
    with pytest.raises(ProcessLookupError):
        os.kill(pod.pid, 0)


KILLED = """
import json, os, shutil, signal, sys
from pathlib import Path
from tests.fake_kubernetes import serve_kubernetes
from tests.fake_kubernetes.fixtures import FIRST, NS, Bench, make_service

def initialize(uri, folder, environ):
    shutil.copytree(sys.argv[1], folder / "bundle")
    (folder / "identity.json").write_text(json.dumps({"model": "fuel"}))

folder = Path(sys.argv[2])
with serve_kubernetes(folder, initialize=initialize) as cluster:
    bench = Bench(cluster, folder)
    bench.apply(make_service())
    bench.wait_for({FIRST: 100})
    print(cluster.revisions(NS, "fuel")[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_outlives_a_test_that_is_killed(tmp_path: Path, made: dict[str, Made]) -> None:
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", KILLED, str(made["a"].folder), str(tmp_path / "cluster")]
    killed = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    server = Path("/proc") / killed.stdout.decode().strip() / "exe"
    wait_until(lambda: not os.path.lexists(server))


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_pod_sees_its_own_environment_and_never_that_of_the_test(
    tmp_path: Path, made: dict[str, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITOPS_TEST_SECRET", "of the test")
    seen: dict[str, str] = {}

    def initialize(uri: str, folder: Path, environ: dict[str, str]) -> None:
        seen.update(environ)
        raise RuntimeError("enough")

    given = {"PATH": os.environ["PATH"], "A": "1"}
    with serve_kubernetes(tmp_path / "c", initialize=initialize, environ=given) as cluster:
        bench = Bench(cluster, tmp_path)
        service = make_service()
        service["spec"]["predictor"]["model"]["env"] = [{"name": "B", "value": "2"}]
        bench.apply(service)
        cluster.wait(lambda: bool(bench.cluster.revisions(NS, "fuel")))
        cluster.wait(lambda: bench.cluster.revisions(NS, "fuel")[0].state is State.FAILED)
    assert seen == {**given, "B": "2"}


def test_without_a_stub_the_real_storage_initializer_runs(tmp_path: Path) -> None:
    with serve_kubernetes(tmp_path / "c") as cluster:
        bench = Bench(cluster, tmp_path)
        service = make_service()
        service["spec"]["predictor"]["model"]["storageUri"] = "nonsense://"
        bench.apply(service)
        cluster.wait(lambda: bool(cluster.revisions(NS, "fuel")))
        (pod,) = cluster.revisions(NS, "fuel")
        cluster.wait(lambda: pod.state is State.FAILED)
    assert "the storage initializer ended with" in pod.message
