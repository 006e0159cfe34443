"""Run the fake GitLab until it is stopped; other processes fill, read and break it by `/_fake/`.

`GET /_fake/state` shows everything, `POST /_fake/seed` adds (see `World.load`), and `POST /_fake/fail`
takes `{"kind": "busy", "match": "POST .*/notes", "times": 2, "retry_after": 1}`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tests.fake_gitlab.running import serve_fake_gitlab


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_gitlab", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--ready-file", type=Path, help="gets the address once it answers")
    parser.add_argument("--seed", type=Path, help="JSON as World.load takes it")
    given = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serve_fake_gitlab(given.port) as fake:
        if given.seed:
            fake.world.load(json.loads(given.seed.read_text("utf-8")))
        if given.ready_file:
            part = given.ready_file.with_suffix(".part")
            part.write_text(fake.url + "\n", "utf-8")
            part.replace(given.ready_file)
        sys.stderr.write(f"fake GitLab at {fake.url}\n")
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
