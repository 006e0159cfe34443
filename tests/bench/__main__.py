"""`make bench`: what is fast is measured beside what it is compared with, in one run.

Prints a table and writes build/bench.json. Nothing here is a test: a slow machine fails nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.check import measure_check
from tests.bench.fetch import measure_fetch
from tests.bench.gate import measure_gate
from tests.bench.help import measure_help
from tests.bench.plan import measure_plan
from tests.bench.serve import measure_serve

MEASURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "help": measure_help,
    "plan": measure_plan,
    "check": measure_check,
    "serve": measure_serve,
    "fetch": measure_fetch,
    "gate": measure_gate,
}


def main() -> int:
    """Run the measures asked for; keep the figures of the others from an earlier run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    only = parser.parse_args().only or list(MEASURES)
    output = Path("build/bench.json")
    figures = json.loads(output.read_text("utf-8")) if output.exists() else {}
    for name in only:
        sys.stderr.write(f"measuring {name} …\n")
        with tempfile.TemporaryDirectory(prefix="gitops-bench-") as folder:
            figures[name] = MEASURES[name](Path(folder))
        _print(name, figures[name])
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    sys.stderr.write(f"{output}\n")
    return 0


def _print(name: str, figures: dict[str, Any]) -> None:
    for key, value in figures.items():
        shown = f"{value:,.3f}" if isinstance(value, float) else json.dumps(value)
        sys.stdout.write(f"{name:<6} {key:<38} {shown}\n")


if __name__ == "__main__":
    sys.exit(main())
