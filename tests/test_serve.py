"""`gitops serve` is started as a user starts it, and asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression

from gitops.adapters.local_server import replay
from gitops.rollout import compare_rows
from gitops.serving.bundle import make_digest, write_bundle
from gitops.serving.predictor import Predictor
from gitops.serving.scoring import score_holdout
from tests.classifiers import SPECIES, boosted, rows, write_holdout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitops.run import Prediction

AUDI: dict[str, object] = {"wght": 2448, "hp": None, "maker": "audi"}
V1, V2 = "/v1/models/fuel:predict", "/v2/models/fuel/infer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server of ours and what it was started with."""

    bundle: Path
    log: Path
    process: subprocess.Popen[bytes]
    http: httpx.Client


@contextmanager
def running(bundle: Path, folder: Path, *arguments: str) -> Iterator[Running]:
    ready, log = folder / "ready.json", folder / "access.log"
    command = [sys.executable, "-m", "gitops", "serve", str(bundle), "--port", "0"]
    command += ["--ready-file", str(ready), *arguments]
    with log.open("wb") as out, (folder / "errors.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
    try:
        address = wait_for_address(process, ready, folder / "errors.log")
        with httpx.Client(base_url=address, timeout=20) as http:
            yield Running(bundle=bundle, log=log, process=process, http=http)
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for_address(process: subprocess.Popen[bytes], ready: Path, errors: Path) -> str:
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert process.poll() is None, errors.read_text()
        assert time.monotonic() < deadline, errors.read_text()
        time.sleep(0.05)
    found = json.loads(ready.read_text())
    assert found["pid"] == process.pid
    return f"http://127.0.0.1:{found['port']}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("serve")
    draw = np.random.default_rng(1)
    inputs = pd.DataFrame({"wght": draw.integers(1800, 4800, 100), "hp": draw.normal(100, 9, 100)})
    inputs.loc[::9, "hp"] = np.nan
    inputs["maker"] = pd.Categorical(draw.choice(["audi", "ford"], 100))
    model = xgboost.XGBRegressor(n_estimators=10, enable_categorical=True)
    model.fit(inputs, 50 - inputs["wght"] / 100)
    bundle = write_bundle(folder / "bundle", model=model, inputs=inputs, target="mpg")
    identity = {"model": "fuel", "version": "v1.2.0", "commit": "c0ffee"}
    (folder / "identity.json").write_text(json.dumps(identity))
    with running(bundle, folder, "--identity", str(folder / "identity.json")) as found:
        yield found


def expected(server: Running, *rows: dict[str, object]) -> list[Prediction]:
    return Predictor.load(server.bundle).predict(rows)


def test_v1_answers_named_fields_with_the_identity_of_the_model(server: Running) -> None:
    answer = server.http.post(V1, json={"instances": [AUDI]})
    assert answer.status_code == 200
    digest = make_digest(server.bundle)
    assert answer.json() == {
        "predictions": expected(server, AUDI),
        "model": {"name": "fuel", "version": "v1.2.0", "commit": "c0ffee", "bundle": digest},
    }
    assert answer.headers["x-model-commit"] == "c0ffee"


def test_v1_answers_arrays_and_batches_in_order(server: Running) -> None:
    rows = [[2448, None, "audi"], AUDI | {"wght": 4000, "year": 1976}, [1900, 88.5, "ford"]]
    found = server.http.post(V1, json={"instances": rows}).json()["predictions"]
    named: dict[str, object] = {"wght": 1900, "hp": 88.5, "maker": "ford"}
    assert found == expected(server, AUDI, AUDI | {"wght": 4000}, named)


def test_v2_answers_named_tensors_with_nan_for_a_missing_value(server: Running) -> None:
    body = (
        '{"id": "42", "inputs": ['
        '{"name": "wght", "shape": [2], "datatype": "INT64", "data": [2448, 3000]},'
        '{"name": "hp", "shape": [2, 1], "datatype": "FP32", "data": [[NaN], [90.5]]},'
        '{"name": "maker", "shape": [2], "datatype": "BYTES", "data": ["audi", "ford"]}]}'
    )
    answer = server.http.post(V2, content=body).json()
    ford: dict[str, object] = {"wght": 3000, "hp": 90.5, "maker": "ford"}
    assert answer["outputs"] == [
        {"name": "mpg", "datatype": "FP64", "shape": [2], "data": expected(server, AUDI, ford)}
    ]
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("42", "fuel", "v1.2.0")
    assert answer["parameters"]["commit"] == "c0ffee"


def test_binary_tensors_and_cloud_events_reach_the_same_predictor(server: Running) -> None:
    sent = {"ce-id": "1", "ce-source": "a", "ce-type": "b", "ce-specversion": "1.0"}
    sent["content-type"] = "application/json"
    event = server.http.post(V1, json={"instances": [AUDI]}, headers=sent)
    assert event.json()["predictions"] == expected(server, AUDI)
    assert event.headers["x-model-version"] == "v1.2.0"

    sizes = {"parameters": {"binary_data_size": 8}, "datatype": "FP64", "shape": [1]}
    maker = {"name": "maker", "datatype": "BYTES", "shape": [1], "data": ["audi"]}
    tensors = [{"name": "wght", **sizes}, {"name": "hp", **sizes}, maker]
    head = json.dumps({"inputs": tensors}).encode()
    body = head + np.array([2448.0, np.nan]).tobytes()
    length = {"inference-header-content-length": str(len(head))}
    binary = server.http.post(V2, content=body, headers=length)
    assert binary.status_code == 200, binary.text
    assert binary.json()["outputs"][0]["data"] == expected(server, AUDI)


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        (AUDI | {"wght": "heavy"}, "wght", "must be a number, not str"),
        (AUDI | {"wght": None}, "wght", "never saw it missing"),
        (AUDI | {"maker": "tesla"}, "maker", "training never saw"),
        ({"wght": 1, "hp": 2}, "maker", "is not there"),
    ],
)
def test_a_wrong_row_is_answered_400_with_field_and_row(
    server: Running, row: dict[str, object], field: str, says: str
) -> None:
    answer = server.http.post(V1, json={"instances": [AUDI, row]})
    assert answer.status_code == 400
    assert (answer.json()["field"], answer.json()["row"]) == (field, 1)
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (V1, b"{", 400),
        (V1, b"[]", 400),
        (V1, b'{"instances": 3}', 400),
        (V1, b'{"instances": [[1]]}', 400),
        (V1, b'{"instances": [{"wght": NaN, "hp": 1, "maker": "audi"}]}', 400),
        (V2, b'{"inputs": []}', 400),
        (V1, json.dumps({"instances": [AUDI] * 10_001}).encode(), 413),
        (V1, b" " * (9 << 20), 413),
        ("/v1/models/other:predict", b"{}", 404),
        ("/v2/repository/models/fuel/unload", b"", 403),
    ],
)
def test_a_wrong_request_is_answered_4xx_in_json(
    server: Running, path: str, body: bytes, status: int
) -> None:
    answer = server.http.post(path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_body_without_announced_length_is_limited_too(server: Running) -> None:
    answer = server.http.post(V1, content=(b" " * (1 << 20) for _ in range(10)))
    assert answer.status_code == 413


def test_a_large_batch_is_answered_like_single_rows(server: Running) -> None:
    answer = server.http.post(V1, json={"instances": [AUDI] * 5000})
    assert answer.json()["predictions"] == expected(server, AUDI) * 5000


def test_metadata_shows_the_signature(server: Running) -> None:
    found = server.http.get("/v2/models/fuel").json()
    assert [each["name"] for each in found["inputs"]] == ["wght", "hp", "maker"]
    assert found["versions"] == ["v1.2.0"]
    fields = found["parameters"]["signature"]["inputs"]
    assert [field["missing"] for field in fields] == [False, True, False]


@pytest.mark.parametrize(
    "path", ["/", "/v1/models/fuel", "/v2/health/live", "/v2/health/ready", "/v2/models/fuel/ready"]
)
def test_kserve_says_that_it_lives_and_is_ready(server: Running, path: str) -> None:
    answer = server.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-model-commit"] == "c0ffee"


def test_metrics_count_requests_errors_and_carry_the_identity(server: Running) -> None:
    server.http.post(V1, json={"instances": [AUDI]})
    server.http.post(V1, json={"instances": [{}]})
    text = server.http.get("/metrics").text
    for wanted in (
        'gitops_requests_total{route="v1",status="200"}',
        'gitops_errors_total{reason="row"}',
        'gitops_request_seconds_bucket{le="0.001",route="v1"}',
        "gitops_predictions_total",
        'version="v1.2.0"',
    ):
        assert wanted in text


def test_each_request_is_one_log_line_without_feature_values(server: Running) -> None:
    headers = {"x-request-id": "find-me"}
    server.http.post(V1, json={"instances": [AUDI | {"maker": "secret"}]}, headers=headers)
    deadline = time.monotonic() + 10
    while "find-me" not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (found,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert (found["path"], found["status"], found["reason"]) == (V1, 400, "row")
    assert "secret" not in server.log.read_text()


def test_a_sklearn_bundle_is_served_and_sigterm_ends_it_with_its_log_written(
    tmp_path: Path,
) -> None:
    inputs = pd.DataFrame({"wght": [1000.0, 2000.0, 3000.0]})
    model = LinearRegression().fit(inputs, [40.0, 30.0, 20.0])
    bundle = write_bundle(tmp_path / "bundle", model=model, inputs=inputs, target="mpg")
    with running(bundle, tmp_path, "--name", "line") as server:
        url = "/v1/models/line:predict"
        answer = server.http.post(url, json={"instances": [{"wght": 1500}]})
        assert answer.json()["predictions"] == pytest.approx([35.0])
        assert answer.json()["model"]["name"] == "line"
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(timeout=20) == 0
        assert url in server.log.read_text()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("classifier")
    model, inputs = boosted(3)
    bundle = write_bundle(
        folder / "bundle",
        model=model,
        inputs=inputs,
        target="s",
        task="multiclass",
        classes=SPECIES,
    )
    with running(bundle, folder, "--name", "birds") as found:
        yield found


def test_a_classifier_answers_v1_with_label_and_probabilities(classifier: Running) -> None:
    answer = classifier.http.post("/v1/models/birds:predict", json={"instances": rows()[:3]})
    wanted = expected(classifier, *rows()[:3])
    assert [list(each["probabilities"]) for each in answer.json()["predictions"]] == [
        list(SPECIES)
    ] * 3
    for each, probabilities in zip(answer.json()["predictions"], wanted, strict=True):
        assert tuple(each["probabilities"].values()) == probabilities
        assert each["probabilities"][each["label"]] == max(each["probabilities"].values())
    assert answer.json()["model"]["bundle"] == make_digest(classifier.bundle)


def test_a_classifier_answers_v2_with_two_tensors_plain_and_binary_alike(
    classifier: Running,
) -> None:
    bird = {"length": 44.0, "mass": 4000.0, "island": "dream"}
    texts = {"name": "island", "datatype": "BYTES", "shape": [1], "data": ["dream"]}
    numbers = [
        {"name": name, "datatype": "FP64", "shape": [1], "data": [bird[name]]}
        for name in ("length", "mass")
    ]
    url = "/v2/models/birds/infer"
    plain = classifier.http.post(url, json={"inputs": [*numbers, texts]}).json()
    (probabilities,) = expected(classifier, bird)
    assert plain["outputs"][1]["data"] == list(np.array(probabilities))
    assert plain["outputs"][1]["shape"] == [1, 3]
    assert json.loads(plain["outputs"][1]["parameters"]["classes"]) == list(SPECIES)
    assert plain["outputs"][0]["data"][0] in SPECIES

    sized = {"parameters": {"binary_data_size": 8}, "datatype": "FP64", "shape": [1]}
    tensors = [{"name": "length", **sized}, {"name": "mass", **sized}, texts]
    head = json.dumps({"inputs": tensors}).encode()
    body = head + np.array([44.0, 4000.0]).tobytes()
    length = {"inference-header-content-length": str(len(head))}
    binary = classifier.http.post(url, content=body, headers=length)
    assert binary.status_code == 200, binary.text
    for each, wanted in zip(binary.json()["outputs"], plain["outputs"], strict=True):
        for key in ("name", "datatype", "shape", "data", "parameters"):
            assert each.get(key) == wanted.get(key) or not wanted.get(key)


def test_metadata_of_a_classifier_names_its_classes(classifier: Running) -> None:
    found = classifier.http.get("/v2/models/birds").json()
    assert [(each["name"], each["shape"]) for each in found["outputs"]] == [
        ("label", [-1]),
        ("probabilities", [-1, 3]),
    ]
    assert found["parameters"]["signature"]["classes"] == list(SPECIES)
    assert found["parameters"]["signature"]["task"] == "multiclass"


def test_a_replay_of_a_classifier_agrees_with_the_gates_probabilities(
    classifier: Running, tmp_path: Path
) -> None:
    holdout = write_holdout(tmp_path / "h")
    scores = score_holdout(classifier.bundle, holdout, target="s", holdout_key="k")
    port = classifier.http.base_url.port
    assert port is not None
    parity = compare_rows(scores, replay(port, "birds", rows(), timeout=20))
    assert (parity.rows, parity.worst) == (240, 0.0)


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gitops", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_altered_bundle_is_not_served(server: Running, tmp_path: Path) -> None:
    for path in server.bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b" ")
    result = serve(str(tmp_path), "--name", "fuel")
    assert result.returncode == 2
    assert "larger than" in result.stderr


def test_an_identity_of_another_bundle_is_not_served(server: Running, tmp_path: Path) -> None:
    identity = tmp_path / "identity.json"
    identity.write_text(json.dumps({"model": "fuel", "bundle": "sha256:0"}))
    result = serve(str(server.bundle), "--identity", str(identity))
    assert result.returncode == 2
    assert "the identity names the bundle sha256:0" in result.stderr


def test_a_server_without_a_name_is_bad_input(server: Running) -> None:
    result = serve(str(server.bundle))
    assert result.returncode == 2
    assert "--name" in result.stderr


def test_a_port_in_use_is_the_outside_worlds_fault(server: Running) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = serve(str(server.bundle), "--name", "fuel", "--port", port)
    assert result.returncode == 4
    assert "choose another --port" in result.stderr
