"""How much longer `gitops --help` takes than a Python interpreter that does nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.bench.timing import time_in_turn


def measure_help(workdir: Path) -> dict[str, Any]:
    """Return median seconds of both and their difference; the aim is at most 0.060."""
    bare, shown = time_in_turn(
        15, [sys.executable, "-c", "pass"], [sys.executable, "-m", "gitops", "--help"], cwd=workdir
    )
    return {"interpreter_s": bare, "help_s": shown, "difference_s": shown - bare}
