"""The network of kubernetes/: everything is denied first, and what is allowed is named."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import yaml

from tests.kustomize import Body
from tests.manifests_kit import objects, one, overlay
from tests.test_rbac import of_kind, place

__all__ = ["objects", "overlay"]

MODEL_PODS = [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]


def policies(objects: list[Body]) -> dict[str, Body]:
    return {place(each): each["spec"] for each in of_kind(objects, "NetworkPolicy")}


def test_everything_is_denied_first(objects: list[Body]) -> None:
    for namespace in of_kind(objects, "Namespace"):
        assert policies(objects)[f"{namespace['metadata']['name']}/default-deny"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }


def test_what_is_allowed_names_its_peers_and_its_ports(objects: list[Body]) -> None:
    """An empty `from`, `to` or `ports` means all of them."""
    for name, spec in policies(objects).items():
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, ()):
                assert direction.capitalize() in spec["policyTypes"], name
                assert set(rule) == {peers, "ports"}, name
                assert rule[peers], name
                assert rule["ports"], name
                assert all(peer.get("namespaceSelector") != {} for peer in rule[peers]), name


def test_pods_reach_the_outside_by_https_and_never_the_metadata_service(
    objects: list[Body],
) -> None:
    wide = 0
    for name, spec in policies(objects).items():
        for rule in spec.get("egress", ()):
            for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
                if ipaddress.ip_network(block["cidr"]).prefixlen > 0:
                    continue
                wide += 1
                excluded = [ipaddress.ip_network(each) for each in block["except"]]
                for address in ("169.254.169.254", "10.96.0.1", "192.168.49.2", "100.100.100.200"):
                    assert any(ipaddress.ip_address(address) in net for net in excluded), name
                assert rule["ports"] == [{"protocol": "TCP", "port": 443}], name
    assert wide


def test_models_are_asked_by_the_gateway_only(overlay: Path, objects: list[Body]) -> None:
    spec = policies(objects)["models/serving"]
    assert spec["podSelector"] == {"matchExpressions": MODEL_PODS}
    named = yaml.safe_dump(spec["ingress"])
    expected = {"envoy-gateway-system", "monitoring"}
    if overlay.name == "production":
        expected |= {"istio-system", "knative-serving"}
    assert expected == set(
        re.findall(r"(?:metadata.name: |- )([a-z]+-?[a-z-]*)$", named, re.MULTILINE)
    )


def test_one_serving_pod_at_a_time_is_drained(objects: list[Body]) -> None:
    spec = one(objects, "PodDisruptionBudget", "models")["spec"]
    assert spec["selector"] == {"matchExpressions": MODEL_PODS}
    assert spec["maxUnavailable"] == 1
