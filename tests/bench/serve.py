"""KServe servers around one booster go up side by side; their throughput and ratio come out.

Ours is `gitops serve` as a user gets it: validation, identity, metrics and log are on. The other is
the least that KServe asks for: a model of ten lines, without gRPC, otherwise with its defaults. On
a busy machine XGBoost's default threads wait for one another and that server all but stands still,
which says nothing about ours; so it runs a second time with one thread, and the ratio is taken
against the faster of the two. All get the same bytes, in turns, from a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS = 8
ROUNDS = 3
SECONDS = 3.0
WARM_UP_SECONDS = 0.5
START_SECONDS = 60.0
COLUMNS = 7
NAME = "fuel"


def measure_serve(workdir: Path) -> dict[str, Any]:
    """Measure both servers in alternating rounds; requests a second, medians and their ratio."""
    bundle, row = _make_bundle(workdir)
    body = json.dumps({"instances": [row]})
    with ExitStack() as servers:
        ports = {
            "gitops": servers.enter_context(_run_ours(bundle, workdir)),
            "bare": servers.enter_context(_run_bare(bundle, {})),
            "bare_one_thread": servers.enter_context(_run_bare(bundle, {"OMP_NUM_THREADS": "1"})),
        }
        answers = {name: _ask(port, body) for name, port in ports.items()}
        for port in ports.values():
            _load(port, body, WARM_UP_SECONDS)
        rounds = [
            {name: _load(port, body, SECONDS) for name, port in ports.items()}
            for _ in range(ROUNDS)
        ]
    return {"same_predictions": len(set(answers.values())) == 1, **_summarise(rounds)}


def _summarise(rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    def figures(name: str) -> dict[str, float]:
        return {
            figure: statistics.median(each[name][figure] for each in rounds)
            for figure in ("rate", "p50_ms", "p99_ms")
        }

    servers = {name: figures(name) for name in rounds[0]}
    rivals = [name for name in servers if name != "gitops"]
    against = max(rivals, key=lambda name: servers[name]["rate"])
    ratios = {name: round(servers["gitops"]["rate"] / servers[name]["rate"], 2) for name in rivals}
    return {
        "connections": CONNECTIONS,
        "load_average": round(os.getloadavg()[0], 2),
        "servers": servers,
        "rounds": rounds,
        "ratios": ratios,
        "against": against,
        "ratio": ratios[against],
    }


def _make_bundle(workdir: Path) -> tuple[Path, list[float]]:
    import numpy as np
    import pandas as pd
    import xgboost

    from gitops.serving.bundle import write_bundle

    draw = np.random.default_rng(7)
    values = draw.normal(size=(2_000, COLUMNS)).round(3)
    inputs = pd.DataFrame(values, columns=[f"x{index}" for index in range(COLUMNS)])
    target = values[:, 0] * 2 + values[:, 1] ** 2
    model = xgboost.XGBRegressor(n_estimators=100, max_depth=4, random_state=7)
    model.fit(inputs, target)
    directory = write_bundle(workdir / "bundle", model=model, inputs=inputs, target="y")
    return directory, [float(value) for value in values[0]]


@contextmanager
def _run_ours(bundle: Path, workdir: Path) -> Iterator[int]:
    ready = workdir / "ready.json"
    arguments = ["--name", NAME, "--port", "0", "--ready-file", str(ready)]
    with _run("-m", "gitops", "serve", str(bundle), *arguments):
        yield int(_wait_for(lambda: json.loads(ready.read_text())["port"], FileNotFoundError))


@contextmanager
def _run_bare(bundle: Path, environ: dict[str, str]) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    arguments = ("-m", __spec__.name, "bare", str(bundle / "model.ubj"), str(port))
    with _run(*arguments, environ=environ):
        _wait_for(lambda: _get(f"http://127.0.0.1:{port}/v2/health/ready"), OSError)
        yield port


@contextmanager
def _run(*arguments: str, environ: dict[str, str] | None = None) -> Iterator[None]:
    """Run Python beside us; what all servers print goes to the same nowhere."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environ or {})},
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(ask: Any, error: type[Exception]) -> Any:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ask()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body


def _ask(port: int, body: str) -> float:
    url = f"http://127.0.0.1:{port}/v1/models/{NAME}:predict"
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data=body.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return float(json.load(answer)["predictions"][0])


def _load(port: int, body: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, "load", str(port), str(seconds), body]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


class _Client(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, latencies: list[float]) -> None:
        self._request = request
        self._latencies = latencies
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        assert head.startswith(b"HTTP/1.1 200"), self._received
        self._latencies.append(time.perf_counter() - self._sent)
        self._received = b""
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[start:].split(b"\r\n", 1)[0])


async def _drive(port: int, seconds: float, body: str) -> dict[str, float]:
    head = (
        f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    request, latencies = (head + body).encode(), list[float]()
    loop = asyncio.get_running_loop()
    clients = [
        await loop.create_connection(lambda: _Client(request, latencies), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    figures = _describe(latencies, seconds)
    for transport, _ in clients:
        transport.abort()
    return figures


def _describe(latencies: list[float], seconds: float) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        "rate": round(len(ordered) / seconds, 1),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 3),
    }


def _serve_bare(model_file: str, port: int) -> None:
    sys.argv = sys.argv[:1]  # KServe reads the command line while it is imported
    import kserve
    import numpy as np
    import xgboost

    class BareModel(kserve.Model):  # type: ignore[misc]  # kserve ships no types
        def __init__(self) -> None:
            super().__init__(NAME)
            self.booster = xgboost.Booster(model_file=model_file)
            self.ready = True

        def predict(self, payload: Any, headers: Any = None) -> dict[str, Any]:
            names = self.booster.feature_names
            matrix = xgboost.DMatrix(np.array(payload["instances"]), feature_names=names)
            return {"predictions": self.booster.predict(matrix).tolist()}

    kserve.ModelServer(http_port=port, enable_grpc=False).start([BareModel()])


def main(arguments: list[str]) -> None:
    """Be the bare server, or the client; `measure_serve` starts both."""
    role, *rest = arguments
    if role == "bare":
        _serve_bare(rest[0], int(rest[1]))
    else:
        figures = asyncio.run(_drive(int(rest[0]), float(rest[1]), rest[2]))
        os.write(1, json.dumps(figures).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
