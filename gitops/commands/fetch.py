r"""Fetch what a commit's pointer names, proven by hash: KServe's storage initializer for `dvc://`.

    GITOPS_ALLOWED_HOSTS=gitlab.example.org,minio.example.org \
        gitops fetch dvc://gitlab.example.org/team/cars@COMMIT/data/models/fuel /mnt/models

A release becomes /mnt/models/bundle and /mnt/models/identity.json; anything else lies in the
destination itself. PATH may also name one file within a tracked folder.

The environment says who may be asked: GITOPS_ALLOWED_HOSTS for all, GITOPS_PRIVATE_HOSTS for those
of them with private addresses, GITOPS_HTTP_HOSTS for those without TLS; HOST or HOST:PORT, commas
between. Credentials: GITOPS_GIT_TOKEN or GITOPS_GIT_TOKEN_FILE, and AWS_* for S3.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode, InputError

if TYPE_CHECKING:
    import argparse

    from gitops.flow.fetching import Fetched

_LONGEST = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare source and destination, in KServe's order."""
    parser.add_argument("source", metavar="SOURCE", help="dvc://HOST/GROUP/REPOSITORY@COMMIT/PATH")
    parser.add_argument(
        "destination", metavar="DESTINATION", type=Path, help="an empty folder, or a new one"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=1800.0,
        help="for all downloads together (default: %(default)g)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fetch, and say what lies there now."""
    from gitops import log
    from gitops.flow.fetching import fetch_source
    from gitops.source import Limits

    if not 0 < arguments.timeout <= _LONGEST:
        raise InputError("--timeout must be positive, and at most a day")
    timer = log.Timer()
    fetched = fetch_source(
        arguments.source,
        arguments.destination,
        environ=os.environ,
        limits=Limits(total_seconds=arguments.timeout),
    )
    log.say(f"{render_fetched(fetched)} in {timer.seconds:.2f} s: {arguments.destination}")
    return ExitCode.DONE


def render_fetched(fetched: Fetched) -> str:
    """Return one line about what was fetched."""
    release = fetched.release
    name = f"{release.model} {release.version}" if release else fetched.source.path
    state = "verified" if fetched.changed else "verified, and there already"
    noun = "file" if fetched.files == 1 else "files"
    return f"{name}: {fetched.files} {noun}, {fetched.size:,} bytes, {state}"
