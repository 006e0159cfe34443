"""`gitops fetch` beside `dvc get`: the same commit, the same Git server, the same remote, in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops.flow.fetching import fetch_source
from gitops.source import Limits
from tests.bench.timing import time_command
from tests.fetch_place import MODEL, Place, dvc, make_place

ROUNDS = 5
MANY = 300
OTHERS = 4000
LATENCY = 0.01


def measure_fetch(workdir: Path) -> dict[str, Any]:
    """Return median seconds and ratios; the aim is at least 4 times faster than `dvc get`.

    `one_by_one` is the same fetch with one download at a time. `distant` ones are from a remote
    that takes 10 ms to answer; `large_repository` has 4,000 other files of 10 kB in the commit.
    """
    with make_place(workdir) as place:
        many = _track_many(place)
        figures = _compare(place, workdir, "model", MODEL, place.commit)
        figures |= _compare(place, workdir, f"{MANY}_files", "data/many", many)
        figures |= _measure_threads(place, workdir, many)
        large = _commit_others(place)
        place.git.requests.clear()
        figures |= _compare(place, workdir, "large_repository", MODEL, large)
        figures["large_repository_fetch_git_bytes"] = _fetch_bytes(place, workdir, large)
    return figures


def _compare(place: Place, workdir: Path, name: str, path: str, commit: str) -> dict[str, Any]:
    fetch = [sys.executable, "-m", "gitops", "fetch", place.uri(path, commit), str(workdir / "a")]
    url = f"http://127.0.0.1:{place.git.port}/team/cars.git"
    get = [sys.executable, "-m", "dvc", "get", "--quiet", "--rev", commit]
    get += ["--out", str(workdir / "b"), url, path]
    rounds = [_time_both(place, workdir, fetch, get) for _ in range(ROUNDS + 1)][1:]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        f"{name}_fetch_s": ours,
        f"{name}_dvc_get_s": theirs,
        f"{name}_ratio": theirs / ours,
    }


def _time_both(
    place: Place, workdir: Path, fetch: list[str], get: list[str]
) -> tuple[float, float]:
    environ = {**place.environ(), "HOME": str(workdir), "DVC_NO_ANALYTICS": "1"}
    for name in ("a", "b"):
        shutil.rmtree(workdir / name, ignore_errors=True)
    here = Path(__file__).parent.parent.parent
    return time_command(fetch, here, environ=environ), time_command(get, here, environ=environ)


def _measure_threads(place: Place, workdir: Path, commit: str) -> dict[str, Any]:
    objects = place.objects
    place.store.objects = _Distant(objects)
    together = min(_time_threads(place, workdir, commit, 16) for _ in range(3))
    one_by_one = min(_time_threads(place, workdir, commit, 1) for _ in range(3))
    place.store.objects = objects
    return {
        f"{MANY}_files_distant_s": together,
        f"{MANY}_files_distant_one_by_one_s": one_by_one,
        f"{MANY}_files_distant_ratio": one_by_one / together,
    }


def _time_threads(place: Place, workdir: Path, commit: str, threads: int) -> float:
    shutil.rmtree(workdir / "a", ignore_errors=True)
    limits = Limits(threads=threads)
    start = time.perf_counter()
    uri = place.uri("data/many", commit)
    fetch_source(uri, workdir / "a", environ=place.environ(), limits=limits)
    return time.perf_counter() - start


def _fetch_bytes(place: Place, workdir: Path, commit: str) -> int:
    """Return what the Git server sends for one fetch."""
    shutil.rmtree(workdir / "a", ignore_errors=True)
    place.git.requests.clear()
    place.fetch(workdir / "a", commit=commit, limits=Limits())
    return sum(request.answered for request in place.git.requests)


def _track_many(place: Place) -> str:
    for number in range(MANY):
        place.work.write(f"data/many/{number % 20}/{number}.bin", os.urandom(20_000))
    dvc(place.work.path, "add", "--quiet", "data/many")
    dvc(place.work.path, "push", "--quiet")
    return place.commit_files({})


def _commit_others(place: Place) -> str:
    files: Mapping[str, str | bytes] = {
        f"others/{number % 100}/{number}.bin": os.urandom(10_000) for number in range(OTHERS)
    }
    return place.commit_files(dict(files))


class _Distant(dict[str, bytes]):
    """Objects that are some way off."""

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override] # a narrower one suffices
        time.sleep(LATENCY)
        return super().get(path, default)
