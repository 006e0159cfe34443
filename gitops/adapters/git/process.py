"""Arguments for git come in; its exit code and output go out, or an error fit for a log.

Every process is deaf to hooks, file-system monitors, replaced objects and the system's
configuration, asks nobody for a password, and dies with its children when its time is up.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

from gitops.errors import InputError, OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOCAL_SECONDS = 60.0
NETWORK_SECONDS = 120.0

_HARDENED = tuple(
    part
    for setting in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "protocol.ext.allow=never",
        "submodule.recurse=false",
        "gc.auto=0",
        "maintenance.auto=false",
    )
    for part in ("-c", setting)
)
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
# How a machine reaches its remotes. Any other GIT_ variable would change what is read.
_KEPT = ("GIT_SSH", "GIT_ASKPASS", "GIT_SSL", "GIT_HTTP", "GIT_CONFIG_", "GIT_ALLOW_PROTOCOL")
_USUAL = ("Please make sure you have the correct access rights", "and the repository exists.")
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")


def run_git(
    folder: Path,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    stdin: bytes = b"",
    allowed: tuple[int, ...] = (0,),
    seconds: float = LOCAL_SECONDS,
) -> tuple[int, bytes]:
    """Run git in a folder and return its exit code, one of `allowed`, and its output.

    Raises:
        InputError: git is not installed, or ended with another code.
        OutsideError: it did not finish in time.
    """
    command = ["git", "-C", str(folder), *_HARDENED, *arguments]
    if any("\0" in part for part in command):
        raise InputError("a name with a NUL byte cannot be in Git")
    code, output, errors = _finish(_start(command, environ), stdin, seconds)
    if code not in allowed:
        raise InputError(f"git {arguments[0]}: {explain_errors(errors)}", where=str(folder))
    return code, output


def make_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git reads what it is told to, and nothing else."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    return {**kept, **_ENVIRONMENT}


def explain_errors(errors: bytes) -> str:
    """Return the last lines of what git said, on one line, without credentials."""
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines()]
    telling = [line for line in lines if line and line not in _USUAL]
    text = "; ".join(telling[-3:]) or "it gave no reason"
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return _CREDENTIALS.sub(r"\1***@", shown)


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [part.encode("utf-8", "surrogateescape") for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=make_environment(environ),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise InputError("git is not installed", hint="install git 2.30 or newer") from error


def _finish(
    process: subprocess.Popen[bytes], stdin: bytes, seconds: float
) -> tuple[int, bytes, bytes]:
    try:
        with process:
            try:
                output, errors = process.communicate(stdin, timeout=seconds)
            finally:
                # Also after Ctrl-C: git's helpers for ssh and https must not outlive it.
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
    except subprocess.TimeoutExpired as error:
        raise OutsideError(
            f"git did not finish within {seconds:g} seconds",
            hint="try again; if it stays, look at the network and the remote",
        ) from error
    return process.returncode, output, errors
