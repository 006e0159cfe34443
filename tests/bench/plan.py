"""`gitops plan` beside `dvc diff` on the same commits of generated repositories, and how both grow."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from tests.bench.plan_repository import write_repository
from tests.bench.timing import time_command, time_in_turn

SMALL = (250, 1000)
LARGE = 10_000


def measure_plan(workdir: Path) -> dict[str, Any]:
    """Return seconds by number of pointers (with twice as many code files) and the ratios.

    `dvc diff` is run once at each size: at 10,000 pointers it takes a minute or more.
    """
    figures: dict[str, Any] = {}
    for pointers in (*SMALL, LARGE):
        path = workdir / str(pointers)
        base, head = write_repository(path, pointers, 2 * pointers)
        _write_object(path / "store", b"after 0")
        (path / ".git" / "info" / "exclude").write_text("/store/\n/.gitops/\n")
        plan = [sys.executable, "-m", "gitops", "plan", "--base", base, "--head", head]
        diff = [sys.executable, "-m", "dvc", "diff", base, head]
        (ours,) = time_in_turn(7, plan, cwd=path)
        theirs = time_command(diff, path)
        figures[f"plan_s_{pointers}"] = ours
        figures[f"dvc_diff_s_{pointers}"] = theirs
        figures[f"ratio_{pointers}"] = theirs / ours
    return figures


def _write_object(store: Path, content: bytes) -> None:
    """Put the one changed object where DVC's remote would have it, so that the plan goes through."""
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = store / "files" / "md5" / name[:2] / name[2:]
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
