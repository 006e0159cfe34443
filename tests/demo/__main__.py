"""`python -m tests.demo` plays the story; exit code 0 if it went as promised, 1 if not."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from tests.demo.epilogue import Epilogue, play_epilogue
from tests.demo.pages import write_pages
from tests.demo.play import Account, play_all
from tests.demo.samples import ROOT
from tests.demo.servers import stop_servers
from tests.demo.stage import Stage, StageError, open_stage
from tests.demo.story import MERGE_REQUESTS
from tests.demo.voice import Voice

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "build/demo"


def main() -> int:
    """Play everything in `build/demo`; whatever happens, no server is left running."""
    voice = Voice(sys.stdout, os.environ, FOLDER / "log")
    start = time.monotonic()
    stop_servers(FOLDER)
    try:
        stage = open_stage(FOLDER, os.environ)
        return _play(stage, voice, start)
    except StageError as error:
        voice.line(voice.paint(str(error), "red"))
        return 1
    finally:
        stop_servers(FOLDER)


def _play(stage: Stage, voice: Voice, start: float) -> int:
    voice.tell(
        "Eleven merge requests by one data scientist, a gate, and a model that serves. "
        "Everything is real: Git, DVC, Kubeflow pipelines, KServe; everything is on this machine."
    )
    accounts = play_all(stage, voice)
    epilogue = None
    if len(accounts) == len(MERGE_REQUESTS) and not any(each.problems for each in accounts):
        released = [each.released for each in accounts if each.released]
        epilogue = play_epilogue(stage, voice, released)
    seconds = round(time.monotonic() - start, 1)
    write_summary(stage.root / "summary.json", accounts, epilogue, seconds)
    write_pages(stage.root, accounts, epilogue, seconds)
    return _close(voice, accounts, epilogue, seconds)


def _close(voice: Voice, accounts: list[Account], epilogue: Epilogue | None, seconds: float) -> int:
    problems = [f"!{a.request.number}: {problem}" for a in accounts for problem in a.problems]
    problems += epilogue.problems if epilogue else ["the story was not told to its end"]
    voice.heading(f"{seconds:.0f} seconds")
    for problem in problems:
        voice.line(voice.paint(problem, "red"))
    voice.tell("The reports: build/demo/report.html; the figures: build/demo/summary.json.")
    return 1 if problems else 0


def write_summary(
    path: Path, accounts: list[Account], epilogue: Epilogue | None, seconds: float
) -> None:
    """Write what happened as JSON."""
    before, after = (epilogue.before, epilogue.after) if epilogue else (None, None)
    body = {
        "merge_requests": [
            {
                "name": each.request.name,
                "planned": each.planned,
                "verdict": each.end,
                "findings": each.findings,
                "released": each.released,
                "seconds": each.seconds,
            }
            for each in accounts
        ],
        "prediction": before
        and {"mpg": before.mpg, "model": before.model, "commit": before.commit},
        "rollback": before
        and after
        and {"from": before.model, "to": after.model, "served_commit": after.commit},
        "seconds": seconds,
    }
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
