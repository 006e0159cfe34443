"""Say what should serve, what does serve, and where it comes from.

Git is asked through the remote's target branch, the endpoint by itself. Exit codes: 0 they agree, or
nothing is deployed here; 1 something else serves; 4 the endpoint does not answer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from gitops.flow.standing import Standing
    from gitops.waiver import Waiver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model and --json."""
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model")
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Print the standing of every model; return the exit code of the worst."""
    import json
    import sys

    from gitops.flow.rollouts import find_deployed
    from gitops.flow.standing import read_standing
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ)
    config = workspace.settled
    names = arguments.model or [model.name for model in config.models]
    models = [find_deployed(workspace, name) for name in names]
    standings = [read_standing(workspace, model, os.environ) for model in models]
    if arguments.json:
        body = {"models": [standing_to_json(standing) for standing in standings]}
        sys.stdout.write(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(map(render_standing, standings)) + "\n")
    return exit_code(standings)


def exit_code(standings: Iterable[Standing]) -> int:
    """Return 1 when something else serves, 4 when an endpoint is silent, else 0."""
    codes = {ExitCode.DONE}
    for standing in standings:
        if standing.problem:
            silent = standing.served is None
            codes.add(ExitCode.OUTSIDE_WORLD if silent else ExitCode.GATE_SAID_NO)
    for code in (ExitCode.GATE_SAID_NO, ExitCode.OUTSIDE_WORLD):
        if code in codes:
            return code
    return ExitCode.DONE


def standing_to_json(standing: Standing) -> dict[str, Any]:
    """Return the standing as JSON: what Git says, what serves, and whether they agree."""
    from dataclasses import asdict

    from gitops.flow.releasing import release_to_json

    released = release_to_json(standing.released) if standing.released else None
    served = asdict(standing.served) if standing.served else None
    return {
        "model": standing.model,
        "released": released,
        "url": standing.url,
        "served": served,
        "agrees": not standing.problem,
        "problem": standing.problem,
        "note": standing.note,
    }


def render_standing(standing: Standing) -> str:
    """Return what a person wants to know about one model, a fact a line."""
    if standing.released is None:
        return f"{standing.model}: no release yet"
    manifest = standing.released.manifest
    facts = {
        "commit": standing.released.commit[:12],
        "merge request": manifest.merge_request or "none",
        "data": ", ".join(f"{item.path} {item.md5}" for item in manifest.data),
        "verdict": f"{manifest.verdict.outcome}: {manifest.verdict.reason}",
        **({"waived": _render_waiver(manifest.waiver)} if manifest.waiver else {}),
        "serves": _render_served(standing),
    }
    lines = [f"{standing.model}: {standing.released.tag}"]
    return "\n".join([*lines, *(f"  {key:<14} {text}" for key, text in facts.items())])


def _render_waiver(waiver: Waiver) -> str:
    return f"by {waiver.by}, because: {waiver.why}"


def _render_served(standing: Standing) -> str:
    from gitops.plan import show

    note = f" ({show(standing.note)})" if standing.note else ""
    if not standing.url:
        return f"not rolled out here{note}"
    if standing.problem:
        return f"NOT THIS: {show(standing.url)}: {show(standing.problem)}{note}"
    return f"this one, at {show(standing.url)}{note}"
