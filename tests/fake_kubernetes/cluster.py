"""All of it together: a cluster for the length of a block."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fake_kubernetes.controller import Controller, run_controller
from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.gateway import Gateway
from tests.fake_kubernetes.listener import listen
from tests.fake_kubernetes.objects import Place, Store
from tests.fake_kubernetes.pods import Initialize, Workload, run_pods
from tests.fake_kubernetes.server import ApiServer, Asked
from tests.fake_kubernetes.webhook import validate


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCluster:
    """A running cluster; the package's docstring says what each part does."""

    api: ApiServer
    ingress: Gateway
    controller: Controller
    store: Store
    faults: Faults

    @property
    def url(self) -> str:
        return self.api.url

    @property
    def token(self) -> str:
        return self.api.token

    @property
    def gateway(self) -> str:
        return self.ingress.url

    @property
    def requests(self) -> list[Asked]:
        return self.api.requests

    @property
    def served(self) -> Counter[tuple[str, str]]:
        return self.ingress.served

    def traffic(self, namespace: str, name: str) -> dict[str, int]:
        """Return where requests to a service go now, in percent; shares of nothing are left out."""
        with self.store.changed:
            route = self.controller.routes.get((namespace, name))
            shares: Counter[str] = Counter()
            for target in route.targets if route else ():
                if target.workload:
                    shares[target.workload.name] += target.percent
            return dict(shares)

    def revisions(self, namespace: str, name: str) -> tuple[Workload, ...]:
        """Return what was ever started for a service, oldest first."""
        with self.store.changed:
            return tuple(self.controller.workloads.get((namespace, name), ()))

    def create_namespace(self, name: str) -> None:
        """Make room for objects."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.store.create(Place(group="", version="v1", plural="namespaces"), body, "fake")

    def renew_token(self) -> str:
        """Give out another token; the old one is of no use from now on."""
        number = int(self.api.token.rpartition("-")[2]) + 1
        self.api.token = f"fake-token-{number}"
        self.faults.unauthorized = False
        return self.api.token

    def kubeconfig(self, path: Path) -> Path:
        """Write a file with which the real client finds this cluster."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": self.token}}],
            "contexts": [
                {
                    "name": "fake",
                    "context": {"cluster": "fake", "user": "fake", "namespace": "models"},
                }
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    def forget_history(self) -> None:
        """Make every version before now too old to watch from."""
        self.store.forget_history()

    def wait(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Return once the condition holds; AssertionError when it does not in time."""
        until = time.monotonic() + seconds
        # The condition may ask the servers, which need the lock.
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"not within {seconds} s: {self._describe()}")
            with self.store.changed:
                self.store.changed.wait(0.05)

    def _describe(self) -> str:
        found = [w for each in self.controller.workloads.values() for w in each]
        return "; ".join(f"{w.name} {w.state} {w.message}" for w in found) or "no workload"


@contextmanager
def serve_kubernetes(
    folder: Path,
    *,
    initialize: Initialize | None = None,
    environ: Mapping[str, str] | None = None,
    namespaces: tuple[str, ...] = ("models",),
) -> Iterator[FakeCluster]:
    """Run a cluster until the block ends; `folder` takes what its pods download, and their logs."""
    store, faults = Store(validate), Faults()
    given = {"PATH": os.environ["PATH"], "HOME": str(folder)} if environ is None else dict(environ)

    def tell() -> None:
        with store.changed:
            store.changed.notify_all()

    with run_pods(folder / "pods", initialize, given, faults, tell) as pods:
        controller = Controller(store, pods, faults)
        ingress = Gateway(controller, pods, faults)
        api = ApiServer(store, ingress, faults)
        cluster = FakeCluster(
            api=api, ingress=ingress, controller=controller, store=store, faults=faults
        )
        for name in namespaces:
            cluster.create_namespace(name)
        with run_controller(controller), listen(ingress), listen(api):
            yield cluster
