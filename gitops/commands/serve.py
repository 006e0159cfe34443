r"""Serve one model bundle behind KServe's V1 and V2 protocols, until it is stopped.

    curl -d '{"instances": [{"wght": 2448, "year": 76}]}' \
        http://127.0.0.1:8080/v1/models/fuel:predict

Rows are named fields, or arrays in the order of the signature; null is a missing value. Wrong input
gets a 4xx with the field and the row. Every answer names the model's version and commit.
/v2/models/NAME shows the signature, /metrics is for Prometheus. SIGTERM ends it gracefully.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.documents import parse_json, write_file
from gitops.errors import ExitCode, InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gitops.serving.predictor import Identity


_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_IDENTITY_LIMIT = 1 << 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of the bundle")
    parser.add_argument("--name", help="model name in the URL (default: the identity's model)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (default: 8080)")
    parser.add_argument(
        "--identity",
        metavar="FILE.json",
        type=Path,
        help="who answers: an object of model, version, commit, bundle, fingerprint",
    )
    parser.add_argument(
        "--ready-file",
        metavar="PATH",
        type=Path,
        help='written as {"port", "pid"} once requests are answered',
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM; raise InputError for a bundle or identity that cannot be trusted."""
    from gitops.serving.predictor import Predictor
    from gitops.serving.server import bind, serve
    from gitops.serving.service import Service

    identity = _read_identity(arguments.identity, arguments.name)
    name = _check_name(arguments.name or identity.model)
    predictor = Predictor.load(arguments.bundle, identity)
    with bind(arguments.host, arguments.port) as listener:
        serve(Service(predictor, name), listener, _make_announcer(arguments.ready_file))
    return ExitCode.DONE


def _read_identity(path: Path | None, name: str | None) -> Identity:
    from gitops.serving.predictor import Identity, parse_identity

    if path is None:
        return Identity(model=_check_name(name or ""))
    try:
        with path.open("rb") as stream:
            content = stream.read(_IDENTITY_LIMIT)
    except OSError as error:
        raise InputError(
            f"the identity cannot be read: {error.strerror}", where=str(path)
        ) from error
    return parse_identity(parse_json(content, str(path)), str(path))


def _check_name(name: str) -> str:
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a model in a URL",
            hint="give --name letters, digits, dots, dashes or underscores",
        )
    return name


def _make_announcer(path: Path | None) -> Callable[[int], None]:
    def announce(port: int) -> None:
        if path is not None:
            write_file(path, f'{{"port": {port}, "pid": {os.getpid()}}}\n')

    return announce
