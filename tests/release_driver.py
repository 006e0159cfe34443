"""Releases a project and kills itself, as SIGKILL would, right after one named step.

Run as `python -m tests.release_driver CHECKOUT STEP`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gitops.flow.judging import read_verdict
from tests.release_kit import open_project, release_project


def main(checkout: str, doomed: str) -> None:
    workspace = open_project(Path(checkout))

    def on_step(step: str) -> None:
        if step == doomed:
            os.kill(os.getpid(), signal.SIGKILL)

    release_project(workspace, read_verdict(workspace, "fuel"), on_step)


if __name__ == "__main__":
    main(*sys.argv[1:])
