"""A cluster to roll out to, bundles that its pods fetch, and the turns taken there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from gitops.adapters.kserve import (
    ClusterService,
    Patience,
    ask_identity,
    open_cluster,
    replay,
)
from gitops.config import ModelConfig
from gitops.engines import Kserve, KserveMode, TrafficCheck
from gitops.flow.cluster_turn import ClusterTurn, Replay
from gitops.inference import Origin, render_service
from gitops.live import LiveService
from gitops.release import Release
from gitops.rollout import ServedIdentity, make_identity
from tests.fake_kubernetes import FakeCluster, serve_kubernetes
from tests.test_rollout import FUEL, ROWS, Made, make_bundle, make_release

NAMESPACE = "models"
ORIGIN = Origin(host="gitlab.example.org", project="team/cars")
PATIENCE = Patience(connect=5, answer=20, poll=0.05, attempts=4, wait=0.05, lag=3)
CHECK = TrafficCheck(requests=20, max_error_rate=0.0, max_latency_ratio=20.0)

__all__ = ["Made", "make_bundle", "make_release"]


@dataclass
class Pods:
    """What the storage initializer of this cluster brings for each commit."""

    made: dict[str, Made] = field(default_factory=dict)
    identities: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, release: Release, made: Made, **lies: str) -> Release:
        """Have pods of this release's commit fetch a bundle; `lies` change who they say they are."""
        self.made[release.commit] = made
        self.identities[release.commit] = {**asdict(make_identity(release)), **lies}
        return release

    def initialize(self, uri: str, folder: Path, environ: dict[str, str]) -> None:
        del environ
        commit = uri.partition("@")[2].partition("/")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.made[commit].folder, folder / "bundle")
        (folder / "identity.json").write_text(json.dumps(self.identities[commit]))


@dataclass
class Place:
    """A cluster, and how to reach it; `fake` is where a test switches faults on."""

    kubeconfig: Path
    gateway: str
    fake: FakeCluster
    pods: Pods

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


@contextmanager
def open_place(folder: Path) -> Iterator[Place]:
    pods = Pods()
    with serve_kubernetes(folder / "cluster", initialize=pods.initialize) as fake:
        kubeconfig = fake.kubeconfig(folder / "kubeconfig")
        yield Place(kubeconfig=kubeconfig, gateway=fake.gateway, fake=fake, pods=pods)


@dataclass
class Bench:
    """One InferenceService of its own, and the turns taken there."""

    place: Place
    mode: KserveMode
    name: str
    steps: list[str] = field(default_factory=list)

    def kserve(self, **changes: object) -> Kserve:
        kserve = Kserve(mode=self.mode, gateway=self.place.gateway, check=CHECK, ready=25.0)
        return replace(kserve, **changes)  # type: ignore[arg-type] # fields by name

    def service(self) -> ClusterService:
        return ClusterService(
            open_cluster(self.place.environ, PATIENCE),
            namespace=NAMESPACE,
            name=self.name,
            gateway=self.place.gateway,
        )

    def turn(
        self,
        release: Release,
        made: Made,
        *,
        on_step: Callable[[str], None] | None = None,
        **changes: object,
    ) -> ClusterTurn:
        """Prepare a turn; `made` is what the gate is said to have judged."""
        kserve = self.kserve(**changes)
        return ClusterTurn(
            service=self.service(),
            rendered=render_service(self.model, kserve, release, ORIGIN),
            identity=make_identity(release),
            kserve=kserve,
            proof=Replay(scores=made.expected.scores, rows=list(ROWS)),
            on_step=on_step or self.steps.append,
        )

    @property
    def model(self) -> ModelConfig:
        return replace(FUEL, serve=replace(FUEL.serve, name=self.name, namespace=NAMESPACE))

    def live(self) -> LiveService:
        live = self.service().read()
        assert live is not None
        return live

    def ask(self) -> ServedIdentity:
        return ask_identity(self.service().open_url(self.live().url), self.name)

    def predict(self) -> tuple[object, ...]:
        return replay(self.service().open_url(self.live().url), self.name, list(ROWS))

    def shares(self) -> list[int]:
        """Return how the traffic is split, the largest share first."""
        return sorted(self.place.fake.traffic(NAMESPACE, self.name).values(), reverse=True)

    def commits(self) -> dict[str, int]:
        """Return which commits have traffic now, and how much."""
        shares = self.place.fake.traffic(NAMESPACE, self.name)
        workloads = self.place.fake.revisions(NAMESPACE, self.name)
        return {
            w.uri.partition("@")[2][:40]: shares[w.name]
            for w in workloads
            if w.ready and shares.get(w.name)
        }
