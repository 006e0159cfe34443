"""Takes one turn on a cluster and kills itself, as SIGKILL would, after one named step.

Run as `python -m tests.kserve_driver KUBECONFIG GATEWAY MODE NAME VERSION STEP DIGEST HOLDOUT BUNDLE`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

from gitops.engines import KserveMode
from gitops.flow.rollouts import Expected
from gitops.serving.scoring import score_holdout
from tests.cluster_kit import Bench, Made, Place, make_release


def main(kubeconfig: str, gateway: str, mode: str, name: str, *more: str) -> None:
    version, doomed, digest, holdout, folder = more

    def on_step(step: str) -> None:
        if step == doomed:
            os.kill(os.getpid(), signal.SIGKILL)

    nothing = cast("Any", None)  # the fake itself lives in the test's process
    place = Place(kubeconfig=Path(kubeconfig), gateway=gateway, fake=nothing, pods=nothing)
    scores = score_holdout(Path(folder), Path(holdout), target="mpg", holdout_key="h")
    expected = Expected(scores=scores, holdout=Path(holdout))
    made = Made(folder=Path(folder), digest=digest, expected=expected)
    bench = Bench(place=place, mode=KserveMode(mode), name=name)
    bench.turn(make_release(version, digest), made, on_step=on_step).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
