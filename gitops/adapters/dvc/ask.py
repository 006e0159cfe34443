"""Questions about objects on a remote come in, a JSON line each; answers go out the same way.

A program of its own, run inside an isolated workspace: DVC reaches every kind of remote, and what
it needs to get there (threads, event loops, vendors' libraries) ends with the process.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_THREADS = 16


def find_present(database: Any, names: list[str]) -> list[str]:
    """Return the names of those objects that are there; a server that cannot tell is an error."""
    present = set(database.oids_exist(names))
    if database.fs.protocol in {"http", "https"}:
        # DVC takes any failure of an HTTP server for "not there": ask again, strictly.
        absent = [name for name in names if name not in present]
        present.update(name for name in absent if _exists(database, name))
    return sorted(present)


def read_objects(database: Any, names: list[str], folder: str) -> list[str]:
    """Download objects to `folder/<name>`; return the names of those that were there."""

    def read(name: str) -> bool:
        try:
            database.fs.get_file(database.oid_to_path(name), str(Path(folder, name)))
        except FileNotFoundError:
            return False
        return True

    with ThreadPoolExecutor(_THREADS) as pool:
        return [name for name, found in zip(names, pool.map(read, names), strict=True) if found]


def _exists(database: Any, name: str) -> bool:
    return bool(database.fs.fs.exists(database.oid_to_path(name), strict=True))


def main() -> None:
    """Answer until the questions end."""
    from dvc.repo import Repo

    # Whatever prints must not garble the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    database = Repo(".").cloud.get_remote_odb()
    for line in sys.stdin:
        question = json.loads(line)
        if "folder" in question:
            answer = read_objects(database, question["names"], question["folder"])
        else:
            answer = find_present(database, question["names"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
