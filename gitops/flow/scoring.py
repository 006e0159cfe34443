"""Bundles and held-out rows of the store come in; predictions, each made once and kept, go out."""

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
from gitops.run import Scores, scores_from_json, scores_to_json

_WORKER = "gitops.serving.scoring"


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
        holdout = self.workspace.store.place("splits", key) / HOLDOUT
        answer = self._ask(self.workspace.store.place("bundles", bundle), holdout, key)
        write_scores(kept, answer)
        return answer

    def keep(self, scores: Scores) -> None:
        """Keep predictions that a pipeline's score step made."""
        write_scores(kept_scores(self.workspace, scores.bundle, scores.holdout), scores)

    def _ask(self, bundle: Path, holdout: Path, key: str) -> Scores:
        self.start()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise AssertionError("unreachable: the process has just been started with pipes")
        question = {
            "bundle": str(bundle),
            "holdout": str(holdout),
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
                where=str(bundle),
                hint=f"see why: echo '{json.dumps(question)}' | {sys.executable} -m {_WORKER}",
            )
        return _parse_answer(line)


def _parse_answer(line: str) -> Scores:
    body = documents.parse_json(line, _WORKER)
    if isinstance(body, dict) and "error" in body:
        raise InputError(**body["error"])
    return _make_scores(body, _WORKER)


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
