"""Numbers of pointers and code files come in; a Git repository of that size goes out."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.repositories import ENVIRONMENT, FIRST_SECOND, make_repository, render_pointer_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODELS = ("fuel", "wine", "trucks")
POINTERS_PER_FOLDER = 1000
FILES_PER_FOLDER = 500


def write_repository(path: Path, pointers: int, code_files: int) -> tuple[str, str]:
    """Write a repository with two commits on main and return their ids.

    The second commit changes one pointer, the data of the first model, and one code file of the
    second. The work tree holds the second commit. No object that a pointer names exists.
    """
    repository = make_repository(path)
    first = dict(_make_files(pointers, code_files))
    second = {
        _pointer_path(0): _render_pointer(0, "after"),
        _code_path(1): "CHANGED = True\n",
    }
    subprocess.run(
        ["git", "-C", str(path), "fast-import", "--quiet"],
        input=_render_commit(first, 0) + _render_commit(second, 1),
        env=ENVIRONMENT,
        check=True,
    )
    repository.git("reset", "--quiet", "--hard", "main")
    return repository.git("rev-parse", "main~1"), repository.git("rev-parse", "main")


def _make_files(pointers: int, code_files: int) -> Iterator[tuple[str, str]]:
    yield "gitops.yaml", _render_config()
    yield ".dvc/config", "[core]\n    remote = store\n['remote \"store\"']\n    url = ../store\n"
    for name in MODELS:
        yield f"pipelines/{name}/pipeline.py", "def train() -> None: ...\n"
        yield f"pipelines/{name}/params.yaml", "degree: 1\n"
    for number in range(pointers):
        yield _pointer_path(number), _render_pointer(number, "before")
    for number in range(code_files):
        yield _code_path(number), f"NUMBER = {number}\n"


def _pointer_path(number: int) -> str:
    return f"data/d{number // POINTERS_PER_FOLDER:02}/f{number:04}.csv.dvc"


def _code_path(number: int) -> str:
    model = MODELS[number % len(MODELS)]
    return f"pipelines/{model}/c{number // FILES_PER_FOLDER:02}/m{number:05}.py"


def _render_pointer(number: int, word: str) -> str:
    return render_pointer_file(f"f{number:04}.csv", f"{word} {number}".encode())


def _render_config() -> str:
    return "version: 1\nmodels:\n" + "".join(
        f"  {name}:\n"
        f"    data: {_pointer_path(number).removesuffix('.dvc')}\n"
        f"    target: y\n"
        f"    pipeline: pipelines/{name}/pipeline.py:train\n"
        f"    params: pipelines/{name}/params.yaml\n"
        f"    gate: {{metrics: {{rmse: {{max: 4.5}}}}}}\n"
        for number, name in enumerate(MODELS)
    )


def _render_commit(files: Mapping[str, str], minutes: int) -> bytes:
    """Return a commit on main in the language of `git fast-import`."""
    date = f"{FIRST_SECOND + 60 * minutes} +0000"
    parts = [f"commit refs/heads/main\ncommitter Ada <ada@example.org> {date}\ndata 6\nChange\n"]
    for path, content in files.items():
        parts.append(f"M 100644 inline {path}\ndata {len(content.encode())}\n{content}\n")
    return "".join(parts).encode()
