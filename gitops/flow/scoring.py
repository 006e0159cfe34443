"""Bundles and held-out rows of the store come in; predictions and inspections, made once and kept, go out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gitops.adapters import documents
from gitops.errors import InputError, OutsideError
from gitops.flow.preparing import HOLDOUT
from gitops.flow.workspace import Workspace, request_from_json
from gitops.run import (
    Inspection,
    Scores,
    inspection_from_json,
    scores_from_json,
    scores_to_json,
)

_WORKER = "gitops.serving.worker"


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
        if kept.exists():
            return read_scores(kept)
        answer = _make_scores(self._ask("score", bundle, key), _WORKER)
        write_scores(kept, answer)
        return answer

    def inspect(self, bundle: str, key: str) -> Inspection | None:
        """Return what it takes to serve a stored bundle, None when it cannot predict every row.

        Times differ from run to run, so they are measured once: the same run has the same verdict.
        """
        kept = _kept_inspection(self.workspace, bundle, key)
        if not kept.exists() and self.score(bundle, key).problem is None:
            documents.write_document(kept, "inspection", self._ask("inspect", bundle, key))
        return read_inspection(self.workspace, bundle, key)

    def keep(self, scores: Scores) -> None:
        """Keep predictions that a pipeline's score step made."""
        write_scores(kept_scores(self.workspace, scores.bundle, scores.holdout), scores)

    def _ask(self, kind: str, bundle: str, key: str) -> Any:
        self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise AssertionError("unreachable: the process has just been started with pipes")
        store = self.workspace.store
        question = {
            "kind": kind,
            "bundle": str(store.place("bundles", bundle)),
            "holdout": str(store.place("splits", key) / HOLDOUT),
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


def score_bundle(request: Mapping[str, Any], *, bundle: str, holdout: str, scores: str) -> None:
    """Predict held-out rows with a fresh bundle: the body of the score step."""
    from gitops.serving.scoring import score_holdout

    workspace = Workspace(request_from_json(request))
    model = workspace.model(workspace.request.model)
    result = score_holdout(
        Path(bundle), Path(holdout), target=model.target, holdout_key=str(request["split"])
    )
    write_scores(Path(scores), result)


def recall_result(request: Mapping[str, Any], *, bundle: str, scores: str) -> None:
    """Copy the stored result of the request's fingerprint: the body of the recall step."""
    workspace = Workspace(request_from_json(request))
    result = read_result(workspace, str(request["fingerprint"]))
    shutil.copytree(workspace.store.place("bundles", result["bundle"]), bundle)
    shutil.copyfile(kept_scores(workspace, result["bundle"], result["split"]), scores)


def read_result(workspace: Workspace, fingerprint: str) -> Any:
    """Return what the store has under a fingerprint: digests of the bundle and of the split."""
    place = workspace.store.place("runs", fingerprint)
    return documents.read_document(place / "result.json", "result")


def kept_scores(workspace: Workspace, bundle: str, key: str) -> Path:
    """Return where the predictions of a bundle for a split are kept."""
    return workspace.store.place("scores", f"{bundle}+{key}").with_suffix(".json")


def read_inspection(workspace: Workspace, bundle: str, key: str) -> Inspection | None:
    """Return the kept inspection of a bundle on a split, None when it was not inspected."""
    kept = _kept_inspection(workspace, bundle, key)
    if not kept.exists():
        return None
    return inspection_from_json(documents.read_document(kept, "inspection"))


def _kept_inspection(workspace: Workspace, bundle: str, key: str) -> Path:
    return workspace.store.place("inspections", f"{bundle}+{key}").with_suffix(".json")
