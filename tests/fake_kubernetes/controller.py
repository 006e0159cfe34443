"""InferenceServices and pods come in; a thread makes pods as KServe's controller does, and keeps the routes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from tests.fake_kubernetes import serverless, standard
from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.objects import SERVICES, Store, covers
from tests.fake_kubernetes.pods import Pods, State, Workload
from tests.fake_kubernetes.route import Route
from tests.fake_kubernetes.status import Target
from tests.fake_kubernetes.webhook import read_mode

# A test may switch a fault off without waking anyone.
_IDLE = 0.25

Key: TypeAlias = tuple[str, str]


class Controller:
    """Reconciles whenever an object or a pod changes.

    Attributes:
        workloads: of each (namespace, service), oldest first; those of a deleted one stay listed.
        routes: where requests go, as of the last reconciliation.
    """

    def __init__(self, store: Store, pods: Pods, faults: Faults) -> None:
        self.store, self.pods, self.faults = store, pods, faults
        self.workloads: dict[Key, list[Workload]] = {}
        self.routes: dict[Key, Route] = {}
        self._closing = False
        self._uids: dict[Key, str] = {}

    def find_targets(self, host: str) -> list[Target] | None:
        """Return what answers under a host name; None for an unknown one."""
        with self.store.changed:
            for route in self.routes.values():
                if host in route.hosts:
                    return route.hosts[host]
            return None

    def run(self) -> None:
        """Reconcile until `close`."""
        with self.store.changed:
            while not self._closing:
                if self.faults.frozen or not self._reconcile_all():
                    flapping = self.faults.flap > 0
                    self.store.changed.wait(self.faults.flap_seconds if flapping else _IDLE)

    def close(self) -> None:
        """End the thread."""
        with self.store.changed:
            self._closing = True
            self.store.changed.notify_all()

    def _reconcile_all(self) -> bool:
        """Go over every service once; True when a status changed, which asks for another round."""
        left = self.faults.flap
        self.faults.take("flap")
        found = {
            (place.namespace, name): body
            for (place, name), body in self.store.objects.items()
            if covers(SERVICES, place)
        }
        for key in set(self.routes) - set(found):
            self._forget(key)
        changed = [
            self._reconcile(key, body, flapped=left % 2 == 0 and left > 0)
            for key, body in found.items()
        ]
        return any(changed) and left == 0

    def _reconcile(self, key: Key, service: Body, *, flapped: bool) -> bool:
        uid = service["metadata"]["uid"]
        if self._uids.setdefault(key, uid) != uid:
            self._forget(key)
            self._uids[key] = uid
        mode = standard if read_mode(service) == "Standard" else serverless
        mine = self.workloads.setdefault(key, [])
        route = mode.reconcile(service, mine, self.pods, flapped=flapped)
        self.routes[key] = route
        return self.store.write_status(replace(SERVICES, namespace=key[0]), key[1], route.status)

    def _forget(self, key: Key) -> None:
        """Follow the deletion of a service: its pods end."""
        for workload in self.workloads.pop(key, []):
            if workload.state is not State.STOPPED:
                self.pods.stop(workload)
        self.routes.pop(key, None)
        self._uids.pop(key, None)


@contextmanager
def run_controller(controller: Controller) -> Iterator[None]:
    """Run the controller's thread for the length of a block."""
    thread = threading.Thread(target=controller.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        controller.close()
        thread.join()
