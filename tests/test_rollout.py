"""Rolling out with real servers: start beside the old one, compare row by row, switch, never drop a request."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters.local_server import (
    LocalService,
    Patience,
    ask_identity,
    open_service,
    replay,
)
from gitops.adapters.local_server.processes import find_processes
from gitops.digest import make_digest
from gitops.errors import OutsideError, RefusedError
from gitops.flow.rollouts import Expected, Turn
from gitops.manifest import ReleaseManifest, VerdictDigest
from gitops.release import Release
from gitops.rollout import Rollout, RolloutStep, compare_rows
from gitops.run import Scores, scores_to_json
from tests.release_kit import make_test_config

FUEL = make_test_config("fuel").models[0]
ROWS = [{"wght": 2000.0 + 100 * i, "year": 70.0 + i % 12} for i in range(30)]


# Comparing predictions


def make_scores(*predictions: float | None) -> Scores:
    ids = tuple(f"row {i}" for i in range(len(predictions)))
    return Scores(bundle="b", holdout="h", ids=ids, predictions=predictions)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_equal_predictions_are_equal(values: list[float]) -> None:
    parity = compare_rows(make_scores(*values), values)
    assert (parity.rows, parity.worst) == (len(values), 0.0)


def test_a_difference_of_float32_is_none() -> None:
    values = [23.456789, 0.1, 41.0]
    answers = [float(np.float32(value)) for value in values]
    assert 0 < compare_rows(make_scores(*values), answers).worst < 1e-7


def test_the_worst_row_is_named() -> None:
    with pytest.raises(RefusedError, match=r"row 'row 1' is 26\.0 instead of 25"):
        compare_rows(make_scores(20.0, 25.0, 30.0), [20.0, 26.0, 30.00001])


@pytest.mark.parametrize("answer", [None, True, "25", float("nan"), float("inf"), [25.0]])
def test_what_is_not_a_number_is_never_equal(answer: object) -> None:
    with pytest.raises(RefusedError):
        compare_rows(make_scores(25.0), [answer])


def test_missing_predictions_prove_nothing() -> None:
    with pytest.raises(RefusedError, match="answered 1 of 2"):
        compare_rows(make_scores(1.0, 2.0), [1.0])
    with pytest.raises(RefusedError):
        compare_rows(make_scores(), [])
    with pytest.raises(RefusedError):
        compare_rows(make_scores(None), [1.0])


# Comparing probabilities


def make_votes(*predictions: tuple[float, ...] | None) -> Scores:
    ids = tuple(f"row {i}" for i in range(len(predictions)))
    classes = ("no", "yes")
    return Scores(bundle="b", holdout="h", ids=ids, predictions=predictions, classes=classes)


def vote(yes: float, **changes: object) -> dict[str, object]:
    label = "yes" if yes >= 0.5 else "no"
    return {"label": label, "probabilities": {"no": 1 - yes, "yes": yes}, **changes}


@given(st.lists(st.floats(0, 1), min_size=1))
def test_equal_probabilities_are_equal(values: list[float]) -> None:
    scores = make_votes(*((1 - value, value) for value in values))
    parity = compare_rows(scores, [vote(value) for value in values])
    assert (parity.rows, parity.worst) == (len(values), 0.0)


def test_the_row_with_the_worst_probability_is_named() -> None:
    with pytest.raises(RefusedError, match=r"row 'row 1' is .*0\.75.* instead of 0\.2, 0\.8"):
        compare_rows(make_votes((0.5, 0.5), (0.2, 0.8)), [vote(0.5), vote(0.75)])


@pytest.mark.parametrize(
    "answer",
    [
        0.8,
        None,
        [0.2, 0.8],
        {},
        {"label": "yes"},
        vote(0.8, label="no"),
        vote(0.8, label=None),
        vote(0.8, label=["yes"]),
        vote(0.8, probabilities={"yes": 0.8}),
        vote(0.8, probabilities={"no": 0.2, "yes": 0.8, "perhaps": 0.0}),
        vote(0.8, probabilities={"no": True, "yes": 0.8}),
        vote(0.8, probabilities={"no": "0.2", "yes": "0.8"}),
        vote(0.8, probabilities={"no": float("nan"), "yes": 0.8}),
    ],
)
def test_what_is_not_the_same_distribution_is_never_equal(answer: object) -> None:
    assert compare_rows(make_votes((0.2, 0.8)), [vote(0.8)]).worst < 1e-9
    with pytest.raises(RefusedError):
        compare_rows(make_votes((0.2, 0.8)), [answer])


@pytest.mark.parametrize("prediction", [None, (0.2,), (0.2, 0.3, 0.5)])
def test_scores_that_are_no_distribution_prove_nothing(prediction: tuple[float, ...]) -> None:
    with pytest.raises(RefusedError):
        compare_rows(make_votes(prediction), [vote(0.8)])


# Real servers


@dataclass(frozen=True)
class Made:
    """A bundle, its digest, and what it predicts."""

    folder: Path
    digest: str
    expected: Expected


def make_bundle(folder: Path, slope: float) -> Made:
    import pandas as pd
    import xgboost

    from gitops.serving.bundle import make_digest as digest_folder
    from gitops.serving.bundle import write_bundle
    from gitops.serving.scoring import score_holdout

    inputs = pd.DataFrame(ROWS)
    matrix = xgboost.DMatrix(inputs, label=inputs["wght"] * slope)
    booster = xgboost.train({"nthread": 1, "max_depth": 2}, matrix, num_boost_round=5)
    write_bundle(folder / "bundle", model=booster, inputs=inputs, target="mpg")
    lines = (json.dumps({"id": f"row {i}", "row": row}) for i, row in enumerate(ROWS))
    holdout = folder / "holdout.jsonl"
    holdout.write_text("\n".join(lines) + "\n")
    scores = score_holdout(folder / "bundle", holdout, target="mpg", holdout_key="h")
    digest = digest_folder(folder / "bundle")
    expected = Expected(scores=scores, holdout=holdout)
    return Made(folder=folder / "bundle", digest=digest, expected=expected)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(folder / "a", -0.01), make_bundle(folder / "b", -0.02)


def make_release(version: str, bundle: str) -> Release:
    digest = make_digest(version)
    manifest = ReleaseManifest(
        model="fuel",
        version=version,
        release=digest,
        fingerprint=digest,
        bundle=bundle,
        holdout=digest,
        policy=digest,
        pointer_md5="a" * 32,
        source="0" * 40,
        date="2026-01-05T10:00:00+00:00",
        merge_request="",
        data=(),
        verdict=VerdictDigest(key=digest, outcome="PASS", reason=""),
        metrics=(),
        previous="",
    )
    commit = digest.removeprefix("sha256:")[:40]
    tag = f"fuel@{version}"
    return Release(
        model="fuel", version=version, tag=tag, commit=commit, manifest=manifest, created=True
    )


@dataclass
class Bench:
    """One service of its own, and the turns taken there."""

    folder: Path
    service: LocalService
    steps: list[RolloutStep] = field(default_factory=list)

    def turn(self, version: str, made: Made, expected: Expected | None = None) -> Turn:
        release = make_release(version, made.digest)
        return Turn(
            service=self.service,
            release=release,
            expected=expected or made.expected,
            on_step=self.steps.append,
        )

    def roll_out(self, version: str, made: Made, port: int = 0, **changes: Expected) -> int:
        model = replace(FUEL, serve=replace(FUEL.serve, port=port))
        return need_port(self.turn(version, made, **changes).run(lambda: made.folder, model))

    def running(self) -> list[int]:
        return sorted(find_processes(f"{self.folder}/servers/"))


@contextmanager
def open_bench(folder: Path, **patience: float) -> Iterator[Bench]:
    with open_service(folder, "fuel", os.environ, Patience(**patience)) as service:
        try:
            yield Bench(folder=service.folder, service=service)
        finally:
            service.stop_everything()
            assert not find_processes(f"{service.folder}/")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path / "serve") as opened:
        yield opened


def need_port(rollout: Rollout) -> int:
    assert rollout.port is not None
    return rollout.port


def read_version(port: int) -> str:
    return ask_identity(port, "fuel", timeout=10).version


def test_a_rollout_serves_says_who_it_is_and_agrees_with_the_gate(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    rollout = bench.turn("v1.0.0", made[0]).run(lambda: made[0].folder, FUEL)
    assert bench.steps == list(RolloutStep)
    assert ask_identity(need_port(rollout), "fuel", timeout=10) == rollout.identity
    assert rollout.parity is not None
    assert rollout.parity.rows == len(ROWS)
    assert rollout.previous is None
    answers = replay(need_port(rollout), "fuel", list(ROWS), timeout=10)
    assert compare_rows(made[0].expected.scores, answers).worst < 1e-7
    again = bench.turn("v1.0.0", made[0]).run(lambda: made[0].folder, FUEL)
    assert (again.changed, again.pid, again.port) == (False, rollout.pid, rollout.port)


class Client(threading.Thread):
    """Asks without pause, over one connection or over a new one for each request."""

    def __init__(self, port: int, *, keep_alive: bool) -> None:
        super().__init__()
        self.port, self.keep_alive = port, keep_alive
        self.stopping = threading.Event()
        self.versions: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        connection = self.connect()
        body = json.dumps({"instances": ROWS[:1]})
        while not self.stopping.is_set():
            try:
                connection.request("POST", "/v1/models/fuel:predict", body)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == 200, content
                self.versions.append(json.loads(content)["model"]["version"])
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                connection.close()
            if not self.keep_alive:
                connection.close()
        connection.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)


@pytest.mark.slow
def test_clients_notice_nothing_of_a_switch_but_the_new_version(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    port = bench.roll_out("v1.0.0", made[0])
    clients = [Client(port, keep_alive=keep) for keep in (True, True, False, False)]
    for client in clients:
        client.start()
    try:
        assert bench.roll_out("v1.1.0", made[1]) == port
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(c.versions[-1] != "v1.1.0" for c in clients):
            time.sleep(0.02)
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(30)
    assert [client.failures for client in clients] == [[], [], [], []]
    for client in clients:
        assert sorted(set(client.versions)) == ["v1.0.0", "v1.1.0"]
        assert client.versions == sorted(client.versions)
    assert len(bench.running()) == 1


def test_a_server_that_predicts_something_else_never_serves(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    port = bench.roll_out("v1.0.0", made[0])
    before = bench.running()
    with pytest.raises(RefusedError, match="does not predict what the gate saw"):
        bench.roll_out("v1.1.0", made[1], expected=made[0].expected)
    assert bench.running() == before
    assert read_version(port) == "v1.0.0"


def test_a_server_that_cannot_start_says_why_and_the_old_one_keeps_serving(
    bench: Bench, made: tuple[Made, Made], tmp_path: Path
) -> None:
    port = bench.roll_out("v1.0.0", made[0])
    before = bench.running()
    broken = replace(made[1], folder=tmp_path / "nothing")
    with pytest.raises(OutsideError, match="ended with status 2") as error:
        bench.roll_out("v1.1.0", broken)
    assert str(tmp_path / "nothing") in str(error.value)
    assert bench.running() == before
    assert read_version(port) == "v1.0.0"


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path, made: tuple[Made, Made]) -> None:
    with open_bench(tmp_path / "serve", ready=0.3) as bench:
        with pytest.raises(OutsideError, match=r"was not ready after 0\.3 seconds"):
            bench.roll_out("v1.0.0", made[0])
        assert bench.running() == []


def test_a_public_port_that_is_taken_is_named_and_the_new_server_stopped(
    bench: Bench, made: tuple[Made, Made]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OutsideError, match=f"port {port} is taken"):
            bench.roll_out("v1.0.0", made[0], port=port)
    assert bench.running() == []


def test_the_address_survives_a_reboot(bench: Bench, made: tuple[Made, Made]) -> None:
    port = bench.roll_out("v1.0.0", made[0])
    bench.service.stop_everything()
    with pytest.raises(OutsideError):
        read_version(port)
    assert bench.roll_out("v1.0.0", made[0]) == port
    assert read_version(port) == "v1.0.0"


def test_credentials_do_not_reach_the_server(tmp_path: Path, made: tuple[Made, Made]) -> None:
    environ = {**os.environ, "CI_JOB_TOKEN": "canary-token"}
    with open_service(tmp_path / "serve", "fuel", environ) as service:
        try:
            bench = Bench(folder=service.folder, service=service)
            bench.roll_out("v1.0.0", made[0])
            for pid in find_processes(f"{service.folder}/"):
                assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()
        finally:
            service.stop_everything()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["starting", "started", "replayed", "switched"])
def test_killed_in_the_middle_and_run_again_it_leaves_one_server(
    tmp_path: Path, made: tuple[Made, Made], step: str
) -> None:
    folder = tmp_path / "serve"
    with open_service(folder, "fuel", os.environ) as service:
        port = Bench(folder=service.folder, service=service).roll_out("v1.0.0", made[0])
    expected = made[1].expected
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps(scores_to_json(expected.scores)))
    command = [sys.executable, "-m", "tests.rollout_driver", str(folder), step]
    command += [str(made[1].folder), str(scores), str(expected.holdout)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert read_version(port) in {"v1.0.0", "v1.1.0"}
    with open_bench(folder) as bench:
        assert len(bench.running()) == 2
        assert bench.roll_out("v1.1.0", made[1]) == port
        assert len(bench.running()) == 1
        assert read_version(port) == "v1.1.0"
