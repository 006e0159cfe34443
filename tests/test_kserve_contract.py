"""The contract with KServe: two releases, one after the other and back. It holds against the fake and a real cluster.

With --cluster KUBECONFIG it rolls out a real repository's last two releases: GITOPS_TEST_CHECKOUT is a
checkout of it, GITOPS_TEST_MODEL the model, GITOPS_TEST_GATEWAY the cluster's ingress, GITOPS_TEST_MODE
serverless or standard. The InferenceService has a name of its own and is deleted afterwards.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitops.adapters.kserve import ClusterService, Patience, ask_identity, open_cluster
from gitops.adapters.publish import Question, read_target
from gitops.config import ModelConfig
from gitops.engines import Kserve, KserveMode, TrafficCheck
from gitops.flow.cluster_turn import ClusterTurn
from gitops.flow.releasing import make_remote
from gitops.flow.workspace import open_workspace
from gitops.inference import Origin, make_origin, render_service
from gitops.release import Release, make_release
from gitops.rollout import ServedIdentity, make_identity
from tests.cluster_kit import NAMESPACE, ORIGIN, PATIENCE, make_bundle, open_place
from tests.cluster_kit import make_release as make_test_release
from tests.test_rollout import FUEL

CHECK = TrafficCheck(requests=20, max_latency_ratio=20.0)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A cluster, and two releases of one model that its pods can fetch."""

    environ: dict[str, str]
    patience: Patience
    kserve: Kserve
    model: ModelConfig
    origin: Origin
    releases: tuple[Release, Release]

    @property
    def service(self) -> ClusterService:
        return ClusterService(
            open_cluster(self.environ, self.patience),
            namespace=self.model.serve.namespace,
            name=self.model.serve.name,
            gateway=self.kserve.gateway,
        )

    def roll_out(self, release: Release) -> ClusterTurn:
        turn = ClusterTurn(
            service=self.service,
            rendered=render_service(self.model, self.kserve, release, self.origin),
            identity=make_identity(release),
            kserve=self.kserve,
            proof=None,
            on_step=lambda step: None,
        )
        turn.run()
        return turn

    def ask(self) -> ServedIdentity:
        live = self.service.read()
        assert live is not None
        return ask_identity(self.service.open_url(live.url), self.model.serve.name)


def name_model(model: ModelConfig, namespace: str) -> ModelConfig:
    name = f"contract-{uuid.uuid4().hex[:8]}"
    return replace(model, serve=replace(model.serve, name=name, namespace=namespace))


@contextmanager
def open_fake(folder: Path) -> Iterator[Contract]:
    old, new = make_bundle(folder / "a", -0.01), make_bundle(folder / "b", -0.02)
    with open_place(folder) as place:
        releases = (
            place.pods.add(make_test_release("v1.0.0", old.digest), old),
            place.pods.add(make_test_release("v1.1.0", new.digest), new),
        )
        yield Contract(
            environ=place.environ,
            patience=PATIENCE,
            kserve=Kserve(mode=KserveMode.SERVERLESS, gateway=place.gateway, check=CHECK),
            model=name_model(FUEL, NAMESPACE),
            origin=ORIGIN,
            releases=releases,
        )


@contextmanager
def open_real(kubeconfig: Path) -> Iterator[Contract]:
    environ = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    workspace = open_workspace(Path(environ["GITOPS_TEST_CHECKOUT"]), environ)
    model = workspace.settled.model(environ["GITOPS_TEST_MODEL"])
    remote = make_remote(workspace, environ)
    tagged = read_target(remote, Question(config=model)).tagged[-2:]
    old, new = (make_release(carried, created=False) for carried in tagged)
    contract = Contract(
        environ=environ,
        patience=Patience(),
        kserve=Kserve(
            mode=KserveMode(environ["GITOPS_TEST_MODE"]),
            gateway=environ["GITOPS_TEST_GATEWAY"],
            check=CHECK,
        ),
        model=name_model(model, model.serve.namespace),
        origin=make_origin(remote.url),
        releases=(old, new),
    )
    try:
        yield contract
    finally:
        delete_service(contract)


def delete_service(contract: Contract) -> None:
    from kubernetes import client, config

    serve = contract.model.serve
    where = ("serving.kserve.io", "v1beta1", serve.namespace, "inferenceservices", serve.name)
    config.load_kube_config(contract.environ["KUBECONFIG"])
    client.CustomObjectsApi().delete_namespaced_custom_object(*where)


@pytest.fixture
def contract(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Contract]:
    kubeconfig = request.config.getoption("--cluster")
    with open_real(kubeconfig) if kubeconfig else open_fake(tmp_path) as opened:
        yield opened


@pytest.mark.slow
def test_a_release_takes_over_from_another_and_gives_way_again(contract: Contract) -> None:
    old, new = contract.releases
    first = contract.roll_out(old)
    assert (first.steps, contract.ask()) == ([], make_identity(old))
    second = contract.roll_out(new)
    assert [step.percent for step in second.steps] == [10, 50, 100]
    assert (second.previous, contract.ask()) == (make_identity(old), make_identity(new))
    assert not contract.roll_out(new).is_changed
    back = contract.roll_out(old)
    assert (back.previous, contract.ask()) == (make_identity(new), make_identity(old))
