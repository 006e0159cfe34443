"""A command and a marker come in; a process that outlives us goes out, found again by the marker.

The marker is the absolute path of the process's own ready file, one of its arguments. Process ids
are reused; a command line with that path in it is nobody else's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROC = Path("/proc")
_POLL = 0.02
# A server answers predictions; it has no use for the credentials of the job that starts it.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")


def start_process(
    command: Sequence[str], *, log: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with its output in `log`."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={name: environ[name] for name in _KEPT if name in environ},
            start_new_session=True,
        )


def find_processes(prefix: str, suffix: str = "") -> dict[int, str]:
    """Return the processes that have an argument with this beginning and end, and that argument."""
    listing = _read_proc() if _PROC.is_dir() else _read_ps()
    found = {}
    for pid, arguments in listing.items():
        markers = (a for a in arguments if a.startswith(prefix) and a.endswith(suffix))
        marker = next(markers, None)
        if marker is not None and pid != os.getpid():
            found[pid] = marker
    return found


def _read_proc() -> dict[int, list[str]]:
    listing = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                content = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # it ended, or is not ours to see
            listing[int(folder.name)] = os.fsdecode(content).split("\0")
    return listing


def _read_ps() -> dict[int, list[str]]:
    """Read the same where there is no /proc; an argument with a space in it is not recognised."""
    command = ["ps", "-axww", "-o", "pid=,command="]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = (line.split() for line in output.splitlines())
    return {int(pid): arguments for pid, *arguments in words}


def is_running(pid: int, marker: str) -> bool:
    """Tell whether this process is the one that the marker belongs to."""
    return find_processes(marker).get(pid) == marker


def stop_process(pid: int, marker: str, *, patience: float) -> None:
    """Ask a process to end, wait `patience` seconds, then kill its session; return when gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_running(pid, marker):
            return
        _signal_session(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_running(pid, marker):
                return
            time.sleep(_POLL)


def _signal_session(pid: int, number: signal.Signals) -> None:
    try:
        if number is signal.SIGTERM:
            os.kill(pid, number)
        else:
            os.killpg(pid, number)
    except ProcessLookupError:
        return


def read_tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        content = log.read_bytes()[-8192:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(content.strip().splitlines()[-lines:])
