"""Fixtures: a fake cluster whose pods serve two real bundles, what a client does there, and services to apply."""

from __future__ import annotations

import http.client
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes
import pytest
from kubernetes.client.rest import ApiException

from tests.fake_kubernetes import FakeCluster, serve_kubernetes
from tests.test_rollout import Made, make_bundle

NS = "models"
WHERE = ("serving.kserve.io", "v1beta1", NS, "inferenceservices")
SERVERLESS, STANDARD = "Serverless", "Standard"
FIRST, SECOND, THIRD = (f"fuel-predictor-{n:05d}" for n in (1, 2, 3))
STABLE, CANARY = "fuel-predictor", "fuel-v2-predictor"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("bundles")
    return {"a": make_bundle(folder / "a", -0.01), "b": make_bundle(folder / "b", -0.02)}


@dataclass(frozen=True)
class Bench:
    """A cluster, and what a client with its kubeconfig can do."""

    cluster: FakeCluster
    folder: Path

    def client(self, kind: str = "") -> Any:
        file = str(self.cluster.kubeconfig(self.folder / "kubeconfig"))
        client = kubernetes.config.new_client_from_config(file)
        if kind:
            client.set_default_header("Content-Type", kind)
        return client

    def objects(self, kind: str = "") -> Any:
        return kubernetes.client.CustomObjectsApi(self.client(kind))

    def apply(self, body: dict[str, Any], manager: str = "gitops", *, force: bool = False) -> Any:
        objects = self.objects("application/apply-patch+yaml")
        name = body["metadata"]["name"]
        return objects.patch_namespaced_custom_object(
            *WHERE, name, body, field_manager=manager, force=force
        )

    def read(self) -> Any:
        return self.objects().get_namespaced_custom_object(*WHERE, "fuel")

    def wait_for(self, traffic: dict[str, int]) -> None:
        self.cluster.wait(lambda: self.cluster.traffic(NS, "fuel") == traffic)

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            found = self.read()
            current = found.get("status", {}).get("observedGeneration")
            return (
                current == found["metadata"]["generation"] and conditions(found)["Ready"] == "True"
            )

        self.cluster.wait(is_ready)

    def ask(self, host: str, path: str = "/v2/models/fuel", body: Any = None) -> Answer:
        gateway = urlsplit(self.cluster.gateway)
        connection = http.client.HTTPConnection(str(gateway.hostname), gateway.port, timeout=10)
        content = None if body is None else json.dumps(body)
        connection.request("POST" if content else "GET", path, content, {"Host": host})
        answer = connection.getresponse()
        found = answer.read()
        connection.close()
        return Answer(answer.status, answer.headers["X-Fake-Revision"] or "", found)

    def host(self) -> str:
        return str(urlsplit(self.read()["status"]["url"]).hostname)

    def count(self, requests: int) -> Counter[str]:
        host = self.host()
        return Counter(self.ask(host).revision for _ in range(requests))


@dataclass(frozen=True)
class Answer:
    status: int
    revision: str
    body: bytes


@pytest.fixture
def bench(tmp_path: Path, made: dict[str, Made]) -> Iterator[Bench]:
    def initialize(uri: str, folder: Path, environ: dict[str, str]) -> None:
        letter = uri[-1]
        shutil.copytree(made[letter].folder, folder / "bundle")
        identity = {"model": "fuel", "version": f"v{letter}", "commit": 40 * "0"}
        identity |= {"bundle": made[letter].digest, "fingerprint": ""}
        (folder / "identity.json").write_text(json.dumps(identity))

    with serve_kubernetes(tmp_path / "cluster", initialize=initialize) as cluster:
        yield Bench(cluster, tmp_path)


def make_predictor(letter: str, **more: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "gitops"}, "runtime": "gitops-serve"}
    return {**more, "model": {**model, "storageUri": f"dvc://git.example.org/team/cars@{letter}"}}


def make_service(letter: str = "a", mode: str = SERVERLESS, **more: Any) -> dict[str, Any]:
    canary = {"canary": more.pop("canary")} if "canary" in more else {}
    annotations = {"serving.kserve.io/deploymentMode": mode, **more.pop("annotations", {})}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fuel", "annotations": annotations},
        "spec": {"predictor": make_predictor(letter, **more), **canary},
    }


def make_canary(percent: int, letter: str = "b", name: str = "v2") -> dict[str, Any]:
    return {"trafficPercent": percent, "predictor": make_predictor(letter, name=name)}


def refusal(act: Callable[[], Any]) -> ApiException:
    with pytest.raises(ApiException) as caught:
        act()
    return caught.value


def conditions(service: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in service["status"]["conditions"]}


def watch(bench: Bench, **more: Any) -> list[dict[str, Any]]:
    objects = bench.objects()
    stream = kubernetes.watch.Watch().stream
    return list(stream(objects.list_namespaced_custom_object, *WHERE, **more))
