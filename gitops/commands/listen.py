"""Take GitLab's webhooks and start the gate's pipeline; for teams that keep it outside the repository.

A merge-request event is only a hint. What is true is read from GitLab; if the merge request is open
and its head has no pipeline yet, one is started in --gate on --ref, with GITOPS_PROJECT,
GITOPS_MERGE_REQUEST, GITOPS_SHA and GITOPS_STATUS, and the status stays pending until it is done.

Secrets come from variables, or from files that NAME_FILE names: GITOPS_GITLAB_TOKEN (scope api), and
GITOPS_WEBHOOK_TOKEN (the hook's secret token), GITOPS_WEBHOOK_SIGNING_TOKEN (whsec_...), or both.
Events go to /webhook; /health answers while it listens. SIGTERM ends it when the queue is empty.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from gitops.flow.listening import Keeper
    from gitops.webhook import Secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to listen, to which projects, and what to start."""
    parser.add_argument(
        "--project", action="append", required=True, metavar="ID|PATH", help="take its events"
    )
    parser.add_argument("--gate", required=True, metavar="ID|PATH", help="project of the pipeline")
    parser.add_argument("--ref", default="main", help="its branch or tag (default: %(default)s)")
    parser.add_argument(
        "--status", default="gitops", metavar="NAME", help="status to finish (default: %(default)s)"
    )
    parser.add_argument("--forks", action="store_true", help="also run code from forks")
    parser.add_argument(
        "--gitlab", metavar="URL", default="", help="GitLab's address (default: $CI_SERVER_URL)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default: 8081)")
    parser.add_argument(
        "--ready-file", metavar="PATH", type=Path, help='written as {"port", "pid"} once it listens'
    )


def run(arguments: argparse.Namespace) -> int:
    """Listen until SIGTERM; raise InputError for missing secrets, OutsideError for a silent GitLab."""
    from gitops.adapters.gitlab import Limits, connect, read_project
    from gitops.flow.credentials import GITLAB_TOKEN, need_secret
    from gitops.flow.listening import Gate, Keeper

    secrets = _read_secrets()
    address = arguments.gitlab or os.environ.get("CI_SERVER_URL", "")
    token = need_secret(os.environ, GITLAB_TOKEN)
    gate = Gate(
        project=arguments.gate,
        ref=arguments.ref,
        status=arguments.status,
        forks=arguments.forks,
    )
    with connect(address, token, limits=Limits(attempts=3, longest_wait=20)) as connection:
        ids = frozenset(read_project(connection, name).id for name in arguments.project)
        _listen(arguments, secrets, ids, Keeper(connection=connection, gate=gate))
    return ExitCode.DONE


def _read_secrets() -> Secrets:
    from gitops.flow.credentials import read_secret
    from gitops.webhook import make_secrets

    return make_secrets(
        token=read_secret(os.environ, "GITOPS_WEBHOOK_TOKEN"),
        signing_token=read_secret(os.environ, "GITOPS_WEBHOOK_SIGNING_TOKEN"),
    )


def _listen(
    arguments: argparse.Namespace, secrets: Secrets, projects: frozenset[int], keeper: Keeper
) -> None:
    """Receive in threads, look in this one; after the signal, finish what waits."""
    import time

    from gitops import log
    from gitops.adapters.documents import write_file
    from gitops.adapters.hook_server import HookServer, bind, serve
    from gitops.flow.listening import Inbox, drain, work

    inbox = Inbox(secrets, projects, time.time)
    stopped = _stop_on_signals()
    listener = bind(arguments.host, arguments.port)
    server = HookServer(listener, inbox.receive, lambda: {"status": "ok", "waiting": len(inbox)})
    with serve(server):
        log.say(f"listening on {arguments.host}:{server.port}")
        if arguments.ready_file is not None:
            write_file(arguments.ready_file, f'{{"port": {server.port}, "pid": {os.getpid()}}}\n')
        work(inbox, keeper.look, stopped)
    drain(inbox, keeper.look, time.monotonic)


def _stop_on_signals() -> threading.Event:
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    return stopped
