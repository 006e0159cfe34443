"""The fake KServe moves traffic from revision to revision in both of KServe's modes, as the real one does."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import kubernetes

from tests.fake_kubernetes import State
from tests.fake_kubernetes.fixtures import (
    CANARY,
    FIRST,
    NS,
    SECOND,
    STABLE,
    STANDARD,
    THIRD,
    Bench,
    bench,
    conditions,
    made,
    make_canary,
    make_service,
    refusal,
)
from tests.test_rollout import ROWS

__all__ = ["bench", "made"]

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
