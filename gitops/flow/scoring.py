"""Bundles and held-out rows of the store come in; predictions and inspections, made once and kept, go out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gitops.adapters import documents
from gitops.errors import InputError, OutsideError
from gitops.flow.preparing import HOLDOUT
from gitops.flow.workspace import Workspace
from gitops.run import (
    Inspection,
    Scores,
    inspection_from_json,
    scores_from_json,
    scores_to_json,
)

_WORKER = "gitops.serving.worker"
_SCORES, _INSPECTION = "scores.json", "inspection.json"


class Scorer:
    """Scores bundles through the server's own predictor, in a process beside this one.

    The process starts at once and imports the model libraries while training goes on elsewhere. A
    score is kept in the store under the digests of bundle and rows.
    """

    def __init__(self, workspace: Workspace, target: str) -> None:
        self.workspace = workspace
        self.target = target
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def start(self) -> None:
        """Start the process now, so that it is warm when the first question comes."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd="/",
            )

    def score(self, bundle: str, key: str) -> Scores:
        """Return the predictions of a stored bundle for a stored split's held-out rows."""
        kept = kept_scores(self.workspace, bundle, key)
        if not kept.exists():
            # Under what was asked for: an answer that is a problem names neither.
            self._keep(bundle, key, _make_scores(self._ask("score", bundle, key), _WORKER))
        return read_scores(kept)

    def inspect(self, bundle: str, key: str) -> Inspection | None:
        """Return what it takes to serve a stored bundle, None when it cannot predict every row.

        Times differ from run to run, so they are measured once: the same run has the same verdict.
        """
        kept = _kept_inspection(self.workspace, bundle, key)
        if not kept.exists() and self.score(bundle, key).problem is None:
            answer = self._ask("inspect", bundle, key)
            self.workspace.store.write_folder(
                "inspections",
                _join(bundle, key),
                lambda folder: documents.write_document(folder / _INSPECTION, "inspection", answer),
            )
        return read_inspection(self.workspace, bundle, key)

    def keep(self, scores: Scores) -> None:
        """Keep predictions that a pipeline's score step made."""
        self._keep(scores.bundle, scores.holdout, scores)

    def _keep(self, bundle: str, key: str, scores: Scores) -> None:
        self.workspace.store.write_folder(
            "scores", _join(bundle, key), lambda folder: write_scores(folder / _SCORES, scores)
        )

    def _ask(self, kind: str, bundle: str, key: str) -> Any:
        self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise AssertionError("unreachable: the process has just been started with pipes")
        store = self.workspace.store
        question = {
            "kind": kind,
            "bundle": str(store.find("bundles", bundle)),
            "holdout": str(store.find("splits", key) / HOLDOUT),
            "target": self.target,
            "key": key,
        }
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise OutsideError(
                "the scoring process ended without an answer",
                where=question["bundle"],
                hint=f"see why: echo '{json.dumps(question)}' | {sys.executable} -m {_WORKER}",
            )
        return _parse_answer(line)


def _parse_answer(line: str) -> Any:
    body = documents.parse_json(line, _WORKER)
    if isinstance(body, dict) and "error" in body:
        raise InputError(**body["error"])
    return body


def _make_scores(body: Any, where: str) -> Scores:
    documents.validate("scores", body, where)
    return scores_from_json(body)


def read_scores(path: Path) -> Scores:
    """Read a scores document; InputError when it is not one."""
    return _make_scores(documents.parse_json(path.read_bytes(), str(path)), str(path))


def write_scores(path: Path, scores: Scores) -> None:
    """Write a scores document atomically."""
    documents.write_document(path, "scores", scores_to_json(scores))


def kept_scores(workspace: Workspace, bundle: str, key: str) -> Path:
    """Return where the predictions of a bundle for a split are kept."""
    return workspace.store.find("scores", _join(bundle, key)) / _SCORES


def read_inspection(workspace: Workspace, bundle: str, key: str) -> Inspection | None:
    """Return the kept inspection of a bundle on a split, None when it was not inspected."""
    kept = _kept_inspection(workspace, bundle, key)
    if not kept.exists():
        return None
    return inspection_from_json(documents.read_document(kept, "inspection"))


def _kept_inspection(workspace: Workspace, bundle: str, key: str) -> Path:
    return workspace.store.find("inspections", _join(bundle, key)) / _INSPECTION


def _join(bundle: str, key: str) -> str:
    return f"{bundle}+{key}"
