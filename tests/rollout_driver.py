"""Takes one turn of a service and kills itself, as SIGKILL would, at one named step.

Run as `python -m tests.rollout_driver FOLDER STEP BUNDLE SCORES HOLDOUT`; the step `starting` is a
moment after the new server's process has begun, before it is ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from gitops.adapters.local_server import open_service
from gitops.flow.rollouts import Expected, Turn
from gitops.run import scores_from_json
from tests.test_rollout import FUEL, make_release


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, doomed: str, bundle: str, scores: str, holdout: str) -> None:
    predicted = scores_from_json(json.loads(Path(scores).read_text()))

    def on_step(step: str) -> None:
        if step == doomed:
            die()
        if (doomed, step) == ("starting", "fetched"):
            threading.Timer(0.2, die).start()

    with open_service(Path(folder), "fuel", os.environ) as service:
        release = make_release("v1.1.0", predicted.bundle)
        expected = Expected(scores=predicted, holdout=Path(holdout))
        turn = Turn(service=service, release=release, expected=expected, on_step=on_step)
        turn.run(lambda: Path(bundle), FUEL)


if __name__ == "__main__":
    main(*sys.argv[1:])
