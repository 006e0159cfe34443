"""A folder of state comes in; servers of one model start, take over from each other, and stop.

The folder holds `current.json` (which server answers), `front.json` (the port that never changes),
and a folder per server started. Whoever is killed in the middle leaves processes that the next run
finds by their command lines and stops.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.adapters.local_server.processes import (
    find_processes,
    is_running,
    read_tail,
    start_process,
    stop_process,
)
from gitops.adapters.local_server.requests import ask_identity, replay
from gitops.errors import OutsideError
from gitops.rollout import ServedIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "LocalService",
    "Patience",
    "Running",
    "ask_identity",
    "open_service",
    "read_port",
    "replay",
]

_POLL = 0.02
_READY = "ready.json"
# Time for a request that the front has just sent on to be read by the server that is to go.
DRAIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers: its port, its process, its ready file, and who it said it is."""

    port: int
    pid: int
    marker: str
    identity: ServedIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds to wait: for a server to be ready, for one to stop, for another rollout to end."""

    ready: float = 120.0
    stop: float = 15.0
    lock: float = 180.0


@contextmanager
def open_service(
    folder: Path, name: str, environ: Mapping[str, str], patience: Patience | None = None
) -> Iterator[LocalService]:
    """Hold a service's folder for oneself; a process that is killed lets go of it."""
    patience = patience or Patience()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        _acquire(lock.fileno(), folder, patience.lock)
        yield LocalService(folder.resolve(), name, environ, patience)


def _acquire(descriptor: int, folder: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OutsideError(
                    "another rollout of this model does not end", where=str(folder)
                ) from None
            time.sleep(_POLL)
        else:
            return


def read_port(folder: Path) -> int | None:
    """Return the public port of a service, None when it was never rolled out here."""
    body = _read_json(folder / "front.json")
    return int(body["port"]) if body and (folder / "current.json").exists() else None


class LocalService:
    """The servers of one model on this machine."""

    def __init__(
        self, folder: Path, name: str, environ: Mapping[str, str], patience: Patience
    ) -> None:
        self.folder, self.name = folder, name
        self._environ, self._patience = environ, patience
        self._servers = folder / "servers"
        self._front = folder / "front.json"

    def read_current(self) -> Running | None:
        """Return the server that answers now, None when there is none or it has died."""
        body = _read_json(self.folder / "current.json")
        if body is None:
            return None
        running = Running(**{**body, "identity": ServedIdentity(**body["identity"])})
        return running if is_running(running.pid, running.marker) else None

    def read_previous(self) -> ServedIdentity | None:
        """Return what answered last, whether or not it still runs."""
        body = _read_json(self.folder / "current.json")
        return ServedIdentity(**body["identity"]) if body else None

    def start(self, bundle: Path, identity: ServedIdentity) -> Running:
        """Start a server beside the current one; return once it answers, or raise OutsideError."""
        place = self._servers / secrets.token_hex(8)
        place.mkdir(parents=True)
        _write_json(place / "identity.json", asdict(identity))
        marker, log = place / _READY, place / "log"
        command = [sys.executable, "-P", "-m", "gitops", "serve", str(bundle)]
        options = {"--name": self.name, "--port": "0", "--identity": str(place / "identity.json")}
        words = [word for option in options.items() for word in option]
        command += [*words, "--ready-file", str(marker)]
        pid, port = self._await_ready(command, marker, log)
        return Running(port=port, pid=pid, marker=str(marker), identity=identity)

    def _await_ready(self, command: list[str], ready: Path, log: Path) -> tuple[int, int]:
        """Return process id and port of a process that says it is ready; stop it if it does not."""
        process = start_process(command, log=log, environ=self._environ)
        deadline = time.monotonic() + self._patience.ready
        while time.monotonic() < deadline:
            body = _read_json(ready)
            if body is not None and body.get("pid") == process.pid:
                return process.pid, int(body["port"])
            if process.poll() is not None:
                raise _failed(f"ended with status {process.returncode}", log)
            time.sleep(_POLL)
        stop_process(process.pid, str(ready), patience=self._patience.stop)
        process.wait(self._patience.stop)
        raise _failed(f"was not ready after {self._patience.ready:g} seconds", log)

    def open_front(self, port: int) -> int:
        """Make sure that the public port is served; return it. Port 0 keeps the one chosen before.

        Raises OutsideError when the port belongs to somebody else.
        """
        known = _read_json(self._front) or {}
        fronts = find_processes(str(self._front))
        wanted = port or int(known.get("port", 0))
        if known.get("pid") in fronts and wanted == known["port"]:
            return int(known["port"])
        for pid, marker in fronts.items():
            stop_process(pid, marker, patience=self._patience.stop)
        _check_free(wanted)
        command = [sys.executable, "-P", "-m", "gitops.serving.front", "--port", str(wanted)]
        command += ["--state", str(self.folder), "--ready-file", str(self._front)]
        return self._await_ready(command, self._front, self.folder / "front.log")[1]

    def switch(self, running: Running) -> None:
        """Let the next request go to this server."""
        _write_json(self.folder / "current.json", asdict(running))

    def stop(self, running: Running) -> None:
        """Stop a server, letting the requests that it has finish."""
        stop_process(running.pid, running.marker, patience=self._patience.stop)
        shutil.rmtree(Path(running.marker).parent, ignore_errors=True)

    def stop_others(self, kept: Running | None, *, drain: float = 0.0) -> None:
        """Stop every server of this service but one, also those that nobody remembers."""
        others = find_processes(f"{self._servers}/", f"/{_READY}")
        if kept is not None:
            others.pop(kept.pid, None)
        if others:
            time.sleep(drain)
        for pid, marker in others.items():
            stop_process(pid, marker, patience=self._patience.stop)
        self._remove_folders(kept)

    def _remove_folders(self, kept: Running | None) -> None:
        keep = Path(kept.marker).parent if kept else None
        for place in self._servers.iterdir() if self._servers.is_dir() else ():
            if place != keep:
                shutil.rmtree(place, ignore_errors=True)

    def stop_everything(self) -> None:
        """Stop the front and every server; the public port is remembered."""
        for pid, marker in find_processes(str(self._front)).items():
            stop_process(pid, marker, patience=self._patience.stop)
        self.stop_others(None)
        (self.folder / "current.json").unlink(missing_ok=True)


def _failed(what: str, log: Path) -> OutsideError:
    tail = read_tail(log)
    return OutsideError(
        f"the new server {what}" + (f"; its last words:\n{tail}" if tail else ""),
        hint="what served before still serves; mend the cause, then run it again",
    )


def _check_free(port: int) -> None:
    """Raise OutsideError early and in plain words when a port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise OutsideError(
                f"port {port} is taken by another program",
                where=f"127.0.0.1:{port}",
                hint="end that program, or set another serve.port in gitops.yaml",
            ) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return body if isinstance(body, dict) else None


def _write_json(path: Path, body: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(body), "utf-8")
    fresh.replace(path)
