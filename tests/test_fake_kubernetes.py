"""The fake cluster does what a Kubernetes API server and KServe do, as the real clients see it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes
import pytest
import urllib3
from kubernetes.client.rest import ApiException

from tests.fake_kubernetes import FakeCluster, State, Workload, serve_kubernetes
from tests.test_rollout import ROWS, Made, make_bundle

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


# The API server. The controller stands still, so that nothing but the requests changes anything.


@pytest.fixture
def api(bench: Bench) -> Bench:
    bench.cluster.faults.frozen = True
    return bench


def test_applying_twice_changes_nothing_and_a_new_spec_counts_as_a_generation(api: Bench) -> None:
    first = api.apply(make_service())
    assert api.apply(make_service()) == first
    annotated = api.apply(make_service(annotations={"team": "cars"}))
    assert annotated["metadata"]["generation"] == 1
    assert annotated["metadata"]["resourceVersion"] > first["metadata"]["resourceVersion"]
    assert annotated["metadata"]["uid"] == first["metadata"]["uid"]
    assert api.apply(make_service("b"))["metadata"]["generation"] == 2


def test_a_field_that_is_no_longer_applied_is_removed(api: Bench) -> None:
    api.apply(make_service(canaryTrafficPercent=10))
    assert "canaryTrafficPercent" not in api.apply(make_service())["spec"]["predictor"]


def test_a_field_of_someone_else_stays_and_is_taken_by_force_only(api: Bench) -> None:
    api.apply(make_service("a"), "gitops")
    other = make_service("b")
    error = refusal(lambda: api.apply(other, "argocd"))
    assert (error.status, error.reason) == (409, "Conflict")
    assert '"gitops": .spec.predictor.model.storageUri' in json.loads(error.body)["message"]
    assert api.apply(other, "argocd", force=True)["spec"]["predictor"] == make_predictor("b")
    assert refusal(lambda: api.apply(make_service("a"), "gitops")).status == 409
    owners = {each["manager"] for each in api.read()["metadata"]["managedFields"]}
    assert owners == {"gitops", "argocd"}


def test_what_two_managers_own_outlives_one_of_them(api: Bench) -> None:
    api.apply(make_service(canaryTrafficPercent=10), "gitops")
    api.apply(make_service(canaryTrafficPercent=10), "argocd")
    kept = api.apply(make_service(), "gitops")
    assert kept["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert "canaryTrafficPercent" not in api.apply(make_service(), "argocd")["spec"]["predictor"]


def test_a_merge_patch_takes_its_fields_from_their_owner(api: Bench) -> None:
    api.apply(make_service(canaryTrafficPercent=10))
    patch = {"spec": {"predictor": {"canaryTrafficPercent": 50}}, "status": {"url": "http://me"}}
    found = api.objects().patch_namespaced_custom_object(
        *WHERE, "fuel", patch, field_manager="kubectl"
    )
    assert found["spec"]["predictor"]["canaryTrafficPercent"] == 50
    assert "status" not in found
    error = refusal(lambda: api.apply(make_service(canaryTrafficPercent=100)))
    assert '"kubectl"' in json.loads(error.body)["message"]


def test_who_read_an_older_version_does_not_overwrite_a_newer_one(api: Bench) -> None:
    old = api.apply(make_service("a"))
    api.apply(make_service("b"))
    replace = api.objects().replace_namespaced_custom_object
    assert refusal(lambda: replace(*WHERE, "fuel", old)).status == 409
    assert api.read()["spec"]["predictor"] == make_predictor("b")


def test_create_read_list_and_delete(api: Bench) -> None:
    objects = api.objects()
    body = make_service()
    body["metadata"]["labels"] = {"team": "cars"}
    objects.create_namespaced_custom_object(*WHERE, body)
    assert refusal(lambda: objects.create_namespaced_custom_object(*WHERE, body)).status == 409
    listed = objects.list_namespaced_custom_object(*WHERE, label_selector="team=cars")
    assert [each["metadata"]["name"] for each in listed["items"]] == ["fuel"]
    assert not objects.list_namespaced_custom_object(*WHERE, label_selector="team=x")["items"]
    objects.delete_namespaced_custom_object(*WHERE, "fuel")
    assert refusal(api.read).status == 404
    elsewhere = (*WHERE[:2], "nowhere", WHERE[3])
    error = refusal(lambda: objects.create_namespaced_custom_object(*elsewhere, body))
    assert (error.status, json.loads(error.body)["message"]) == (
        404,
        'namespaces "nowhere" not found',
    )


def test_other_kinds_are_kept_too(api: Bench) -> None:
    core = kubernetes.client.CoreV1Api(api.client())
    core.create_namespace({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}})
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "s"},
        "data": {"a": "1"},
    }
    core.create_namespaced_config_map("b", settings)
    assert core.read_namespaced_config_map("s", "b").data == {"a": "1"}
    assert {each.metadata.name for each in core.list_namespace().items} == {"b", NS}


def test_a_watch_tells_what_happened_since_a_version(api: Bench) -> None:
    version = api.apply(make_service("a"))["metadata"]["resourceVersion"]
    api.apply(make_service("b"))
    api.objects().delete_namespaced_custom_object(*WHERE, "fuel")
    events = watch(api, resource_version=version, timeout_seconds=1)
    assert [each["type"] for each in events] == ["MODIFIED", "DELETED"]


def watch(bench: Bench, **more: Any) -> list[dict[str, Any]]:
    objects = bench.objects()
    stream = kubernetes.watch.Watch().stream
    return list(stream(objects.list_namespaced_custom_object, *WHERE, **more))


def test_a_watch_from_a_forgotten_version_is_gone(api: Bench) -> None:
    version = api.apply(make_service("a"))["metadata"]["resourceVersion"]
    api.apply(make_service("b"))
    api.cluster.forget_history()
    error = refusal(lambda: watch(api, resource_version=version, timeout_seconds=5))
    assert error.status == 410


def test_a_watch_can_be_cut(api: Bench) -> None:
    api.apply(make_service())
    objects = api.objects()
    events = kubernetes.watch.Watch().stream(objects.list_namespaced_custom_object, *WHERE)
    assert next(events)["type"] == "ADDED"
    api.cluster.faults.drop_watches()
    with pytest.raises(urllib3.exceptions.HTTPError):
        next(events)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (make_service(canary=[make_canary(10)]), 403, "only supported in Standard"),
        (make_service(mode=STANDARD, canary=[make_canary(10), make_canary(10)]), 403, "unique"),
        (
            make_service(mode=STANDARD, canary=[make_canary(60), make_canary(41, name="v3")]),
            403,
            "over 100",
        ),
        (make_service(mode=STANDARD, canary=[make_canary(10, name="")]), 403, "name is required"),
        (make_service(mode="Magic"), 403, "invalid deployment mode"),
        (make_service(canaryTrafficPercent=101), 422, "from 0 to 100"),
    ],
)
def test_what_kserve_refuses_is_refused(
    api: Bench, body: dict[str, Any], status: int, word: str
) -> None:
    error = refusal(lambda: api.apply(body))
    assert error.status == status
    assert word in json.loads(error.body)["message"]
    assert refusal(api.read).status == 404


def test_faults_of_the_api_server(api: Bench) -> None:
    faults = api.cluster.faults
    faults.conflict = 1
    assert refusal(lambda: api.apply(make_service())).status == 409
    faults.server_errors = 1
    assert refusal(lambda: api.apply(make_service())).status == 503
    assert refusal(api.read).status == 404
    faults.lost_replies = 1
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.apply(make_service())
    assert api.read()["metadata"]["generation"] == 1
    statuses = [each.status for each in api.cluster.requests if each.verb == "PATCH"]
    assert statuses == [409, 503, 0]


def test_a_token_that_is_refused_is_good_again_when_renewed(api: Bench) -> None:
    api.apply(make_service())
    stale = api.objects()
    api.cluster.faults.unauthorized = True
    assert refusal(api.read).status == 401
    api.cluster.renew_token()
    assert refusal(lambda: stale.get_namespaced_custom_object(*WHERE, "fuel")).status == 401
    assert api.read()["metadata"]["name"] == "fuel"


# Serverless mode


def test_serverless_from_the_first_revision_to_a_promoted_canary(bench: Bench) -> None:
    bench.apply(make_service("a", canaryTrafficPercent=10))
    bench.wait_for({FIRST: 100})
    bench.apply(make_service("b", canaryTrafficPercent=0))
    bench.cluster.wait(lambda: bench.cluster.traffic(NS, "fuel") == {FIRST: 100, SECOND: 0})
    assert bench.count(10) == {FIRST: 10}
    for percent in (10, 50):
        bench.apply(make_service("b", canaryTrafficPercent=percent))
        bench.wait_for({FIRST: 100 - percent, SECOND: percent})
        assert bench.count(100) == {FIRST: 100 - percent, SECOND: percent}
    pids = [each.pid for each in bench.cluster.revisions(NS, "fuel")]
    bench.apply(make_service("b"))
    bench.wait_for({SECOND: 100})
    assert [each.pid for each in bench.cluster.revisions(NS, "fuel")] == pids
    bench.cluster.wait(lambda: predictor(bench).get("latestRolledoutRevision") == SECOND)
    assert predictor(bench)["previousRolledoutRevision"] == FIRST
    assert bench.read()["status"]["observedGeneration"] == bench.read()["metadata"]["generation"]


def predictor(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.read()["status"]["components"]["predictor"]
    return found


def test_a_revision_that_is_never_ready_gets_no_traffic(bench: Bench) -> None:
    bench.apply(make_service("a"))
    bench.wait_for({FIRST: 100})
    bench.cluster.faults.stuck = True
    bench.apply(make_service("b"))
    bench.cluster.wait(lambda: predictor(bench)["latestCreatedRevision"] == SECOND)
    assert predictor(bench)["latestReadyRevision"] == FIRST
    assert conditions(bench.read())["Ready"] == "Unknown"
    assert bench.count(5) == {FIRST: 5}
    bench.cluster.faults.stuck = False
    bench.wait_for({SECOND: 100})


def test_one_that_fails_to_load_says_so(bench: Bench) -> None:
    bench.cluster.faults.failed_load = True
    bench.apply(make_service())
    bench.cluster.wait(lambda: "status" in bench.read() and model_state(bench) == "FailedToLoad")
    status = bench.read()["status"]
    assert conditions(bench.read())["Ready"] == "False"
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert "no such model" in status["modelStatus"]["lastFailureInfo"]["message"]
    assert "url" not in status


def model_state(bench: Bench) -> str:
    return str(bench.read()["status"]["modelStatus"]["states"]["targetModelState"])


def test_zero_percent_after_the_promotion_goes_back_to_the_one_before(bench: Bench) -> None:
    bench.apply(make_service("a"))
    bench.wait_for({FIRST: 100})
    bench.apply(make_service("b"))
    bench.wait_for({SECOND: 100})
    bench.apply(make_service("b", canaryTrafficPercent=0))
    bench.wait_for({FIRST: 100, SECOND: 0})
    assert bench.count(4) == {FIRST: 4}


def test_an_old_template_applied_again_without_a_percentage_promotes_the_canary_first(
    bench: Bench,
) -> None:
    bench.apply(make_service("a"))
    bench.wait_for({FIRST: 100})
    bench.apply(make_service("b", canaryTrafficPercent=10))
    bench.wait_for({FIRST: 90, SECOND: 10})
    bench.cluster.faults.stuck = True
    bench.apply(make_service("a"))
    bench.wait_for({SECOND: 100})
    bench.cluster.faults.stuck = False
    bench.wait_for({THIRD: 100})


def test_an_annotation_is_part_of_the_template(bench: Bench) -> None:
    bench.apply(make_service())
    bench.wait_for({FIRST: 100})
    bench.apply(make_service(annotations={"step": "10"}))
    bench.wait_for({SECOND: 100})


def test_each_side_of_a_canary_has_an_address_of_its_own(bench: Bench) -> None:
    tags = {"serving.kserve.io/enable-tag-routing": "true"}
    bench.apply(make_service("a", annotations=tags))
    bench.wait_for({FIRST: 100})
    bench.apply(make_service("b", annotations=tags, canaryTrafficPercent=0))
    bench.wait_for({FIRST: 100, SECOND: 0})
    bench.cluster.wait(lambda: len(predictor(bench)["traffic"]) == 2)
    hosts = {each["tag"]: urlsplit(each["url"]).hostname for each in predictor(bench)["traffic"]}
    assert hosts == {tag: f"{tag}-fuel-predictor.{NS}.example.com" for tag in ("latest", "prev")}
    assert [bench.ask(str(hosts[tag])).revision for tag in ("latest", "prev")] == [SECOND, FIRST]
    assert bench.ask(f"{SECOND}.{NS}.svc.cluster.local").revision == SECOND
    assert bench.ask("who.example.com").status == 404


def test_the_service_proxy_reaches_the_real_server(bench: Bench) -> None:
    bench.apply(make_service("a"))
    bench.wait_for({FIRST: 100})
    core = kubernetes.client.CoreV1Api(bench.client())
    get = core.connect_get_namespaced_service_proxy_with_path
    for service in (f"{FIRST}", f"http:{FIRST}:80", "fuel-predictor:http"):
        answer = get(service, NS, "v2/models/fuel", _preload_content=False)
        assert json.loads(answer.data)["name"] == "fuel"
    assert refusal(lambda: get("nobody", NS, "v2/models/fuel")).status == 404
    rows = {"instances": ROWS[:2]}
    answer = bench.ask(bench.host(), "/v1/models/fuel:predict", rows)
    assert len(json.loads(answer.body)["predictions"]) == 2


def test_the_kserve_client_sees_a_ready_service(bench: Bench) -> None:
    from kserve import KServeClient

    client = KServeClient(config_file=str(bench.cluster.kubeconfig(bench.folder / "k")))
    bench.apply(make_service())
    client.wait_isvc_ready("fuel", namespace=NS, timeout_seconds=60, polling_interval=1)
    assert client.get("fuel", namespace=NS)["status"]["url"] == "http://fuel.models.example.com"


# Standard mode


def test_standard_from_the_first_deployment_to_a_promoted_canary(bench: Bench) -> None:
    bench.apply(make_service("a", STANDARD))
    bench.wait_ready()
    bench.apply(make_service("a", STANDARD, canary=[make_canary(0)]))
    bench.wait_for({STABLE: 100, CANARY: 0})
    bench.cluster.wait(lambda: conditions(bench.read()).get("CanaryPredictorReady") == "True")
    (dark,) = bench.read()["status"]["canaryStatuses"]
    assert (dark["name"], dark["ready"], dark["trafficPercent"]) == ("v2", True, 0)
    assert bench.ask(f"{CANARY}.{NS}.svc.cluster.local").revision == CANARY
    bench.apply(make_service("a", STANDARD, canary=[make_canary(25)]))
    bench.wait_for({STABLE: 75, CANARY: 25})
    assert bench.count(100) == {STABLE: 75, CANARY: 25}
    pid = bench.cluster.revisions(NS, "fuel")[-1].pid
    host = bench.host()
    bench.apply(make_service("b", STANDARD, name="v2"))
    bench.wait_for({CANARY: 100})
    old, new = bench.cluster.revisions(NS, "fuel")
    assert (old.state, new.pid, new.state) == (State.STOPPED, pid, State.READY)
    assert bench.host() == host
    assert bench.count(4) == {CANARY: 4}
    assert bench.ask(f"{STABLE}.{NS}.svc.cluster.local").status == 404
    assert "canaryStatuses" not in bench.read()["status"]


def test_a_canary_that_is_not_ready_gets_no_traffic_and_goes_when_it_is_removed(
    bench: Bench,
) -> None:
    bench.apply(make_service("a", STANDARD))
    bench.wait_ready()
    bench.cluster.faults.stuck = True
    bench.apply(make_service("a", STANDARD, canary=[make_canary(50)]))
    bench.cluster.wait(lambda: conditions(bench.read()).get("CanaryPredictorReady") == "False")
    assert not bench.read()["status"]["canaryStatuses"][0]["ready"]
    assert bench.count(4) == {STABLE: 4}
    bench.apply(make_service("a", STANDARD))
    bench.cluster.wait(lambda: "canaryStatuses" not in bench.read()["status"])
    assert [each.state for each in bench.cluster.revisions(NS, "fuel")] == [
        State.READY,
        State.STOPPED,
    ]


def test_a_changed_model_in_one_deployment_is_a_rolling_update(bench: Bench) -> None:
    bench.apply(make_service("a", STANDARD))
    bench.wait_ready()
    bench.cluster.faults.stuck = True
    bench.apply(make_service("b", STANDARD))
    bench.cluster.wait(lambda: len(bench.cluster.revisions(NS, "fuel")) == 2)
    assert bench.ask(bench.host()).status == 200
    bench.cluster.faults.stuck = False
    bench.cluster.wait(lambda: bench.cluster.revisions(NS, "fuel")[0].state is State.STOPPED)
    assert bench.ask(bench.host()).status == 200


# Faults behind the gateway, and the end


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
from tests.test_fake_kubernetes import FIRST, NS, Bench, make_service

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
