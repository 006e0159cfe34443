"""A template comes in; a real `gitops serve` process goes out, started by a storage initializer as KServe does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.guard import Guard

Initialize: TypeAlias = Callable[[str, Path, dict[str, str]], None]

_POLL = 0.02
_GRACE = 5.0


class State(StrEnum):
    """How far a pod is."""

    PENDING = "Pending"
    LOADING = "Loading"
    READY = "Ready"
    FAILED = "Failed"
    CRASHED = "Crashed"
    STOPPED = "Stopped"


@dataclass(slots=True, kw_only=True, eq=False)
class Workload:
    """One pod and its server.

    Attributes:
        name: of the revision (Serverless) or the Deployment (Standard).
        uri: storage URI of its model.
        template: everything that, changed, asks for a new pod.
        generation: of the InferenceService that asked for it.
        message: why it failed.
        port, pid: of its server, once there is one.
    """

    namespace: str
    service: str
    name: str
    uri: str
    template: dict[str, Any]
    generation: int
    folder: Path
    environ: dict[str, str]
    state: State = State.PENDING
    message: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def ready(self) -> bool:
        return self.state is State.READY


class _GivenUpError(Exception):
    """The pod cannot come up; the text says why."""


class Pods:
    """Starts and ends workloads; `tell` is called whenever one of them changes its state.

    Attributes:
        all: everything ever started, oldest first.
    """

    def __init__(
        self,
        folder: Path,
        initialize: Initialize | None,
        environ: dict[str, str],
        faults: Faults,
        tell: Callable[[], None],
    ) -> None:
        self.folder, self.initialize, self.environ = folder, initialize, environ
        self.faults, self.tell = faults, tell
        self.all: list[Workload] = []
        self.guard, self.telling = Guard(), threading.Lock()

    def start(
        self, namespace: str, service: str, name: str, template: dict[str, Any], generation: int
    ) -> Workload:
        """Create a pod from a template; it comes up in its own time."""
        model = template["predictor"].get("model", {})
        folder = self.folder / f"{len(self.all) + 1:03d}-{namespace}-{name}"
        folder.mkdir(parents=True)
        workload = Workload(
            namespace=namespace,
            service=service,
            name=name,
            uri=str(model.get("storageUri", "")),
            template=template,
            generation=generation,
            folder=folder,
            environ={**self.environ, **_read_env(model)},
        )
        workload.thread = threading.Thread(target=self._live, args=(workload,), daemon=True)
        self.all.append(workload)
        workload.thread.start()
        return workload

    def names(self, workload: Workload) -> tuple[str, ...]:
        """Return the names under which a fault may mean this workload."""
        return (workload.name, "*") if workload is self.all[-1] else (workload.name,)

    def stop(self, workload: Workload) -> None:
        """Ask a pod to end; it answers what it has begun."""
        workload.stopping.set()
        workload.state = State.STOPPED
        _signal(workload, signal.SIGTERM)

    def crash(self, workload: Workload) -> None:
        """Kill the server of a pod, as the kernel does when memory runs out."""
        _signal(workload, signal.SIGKILL)
        if workload.process:
            workload.process.wait()
        self._turn(workload, State.CRASHED, "the server was killed")

    def close(self) -> None:
        """End everything now."""
        for workload in self.all:
            workload.stopping.set()
            _signal(workload, signal.SIGKILL)
        for workload in self.all:
            if workload.thread:
                workload.thread.join(_GRACE)
        self.guard.close()

    def _turn(self, workload: Workload, state: State, message: str = "") -> None:
        if not workload.stopping.is_set():
            workload.state, workload.message = state, message
            self.tell()

    def _live(self, workload: Workload) -> None:
        """Be the pod: load, serve, and watch over the process."""
        try:
            self._turn(workload, State.LOADING)
            self._load(workload)
            self._serve(workload)
            while self.faults.stuck and not workload.stopping.wait(_POLL):
                pass
            self._turn(workload, State.READY)
            self._watch(workload)
        except _GivenUpError as error:
            self._turn(workload, State.FAILED, str(error))
        finally:
            _end(workload)

    def _load(self, workload: Workload) -> None:
        if self.faults.failed_load:
            raise _GivenUpError("the storage initializer failed: no such model")
        target = workload.folder / "models"
        if self.initialize is None:
            command = [sys.executable, "-m", "gitops", "fetch", workload.uri, str(target)]
            process = self._spawn(workload, command)
            while process.poll() is None and not workload.stopping.wait(_POLL):
                pass
            if code := process.returncode:
                raise _GivenUpError(f"the storage initializer ended with {code}: {_tail(workload)}")
            return
        try:
            self.initialize(workload.uri, target, workload.environ)
        except Exception as error:
            raise _GivenUpError(f"the storage initializer failed: {error}") from error

    def _serve(self, workload: Workload) -> None:
        """Start the server, and wait until it says on which port it answers."""
        models, announced = workload.folder / "models", workload.folder / "ready.json"
        command = [sys.executable, "-m", "gitops", "serve", str(models / "bundle")]
        command += ["--identity", str(models / "identity.json"), "--name", workload.service]
        command += ["--port", "0", "--ready-file", str(announced)]
        if workload.stopping.is_set():
            return
        process = self._spawn(workload, command)
        while not announced.exists() and not workload.stopping.wait(_POLL):
            if process.poll() is not None:
                raise _GivenUpError(
                    f"the server ended with {process.returncode}: {_tail(workload)}"
                )
        if not workload.stopping.is_set():
            workload.port = json.loads(announced.read_text())["port"]

    def _spawn(self, workload: Workload, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process of the pod in a group of its own, so that it ends with its children."""
        with (workload.folder / "log").open("ab") as log:
            workload.process = subprocess.Popen(
                command,
                cwd=workload.folder,
                env=workload.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with self.telling:
            self.guard.watch(workload.process.pid)
        return workload.process

    def _watch(self, workload: Workload) -> None:
        process = workload.process
        while process and not workload.stopping.wait(_POLL):
            if process.poll() is not None:
                self._turn(workload, State.CRASHED, f"the server ended with {process.returncode}")
                return


@contextmanager
def run_pods(
    folder: Path,
    initialize: Initialize | None,
    environ: dict[str, str],
    faults: Faults,
    tell: Callable[[], None],
) -> Iterator[Pods]:
    """Keep pods for the length of a block."""
    pods = Pods(folder, initialize, environ, faults, tell)
    try:
        yield pods
    finally:
        pods.close()


def _read_env(model: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: str(each["value"]) for each in model.get("env", []) if "value" in each}


def _signal(workload: Workload, number: signal.Signals) -> None:
    process = workload.process
    if process and process.poll() is None:
        os.killpg(process.pid, number)


def _end(workload: Workload) -> None:
    """Leave no process behind."""
    process = workload.process
    if process is None:
        return
    _signal(workload, signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _signal(workload, signal.SIGKILL)
        process.wait()


def _tail(workload: Workload) -> str:
    return (workload.folder / "log").read_text(errors="replace")[-500:].strip()
