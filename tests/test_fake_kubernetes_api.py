"""The fake API server applies, owns, watches, refuses and fails as a real one does, to the real client."""

from __future__ import annotations

import json
from typing import Any

import kubernetes
import pytest
import urllib3

from tests.fake_kubernetes.fixtures import (
    NS,
    STANDARD,
    WHERE,
    Bench,
    bench,
    made,
    make_canary,
    make_predictor,
    make_service,
    refusal,
    watch,
)

__all__ = ["bench", "made"]

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
