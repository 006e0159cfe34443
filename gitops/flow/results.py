"""What a pipeline made comes in; bundle, predictions and their link to the fingerprint lie in the store afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops.adapters import documents
from gitops.errors import InputError
from gitops.flow.pods import run_step
from gitops.flow.scoring import Scorer, kept_scores, read_scores, write_scores
from gitops.flow.workspace import Workspace
from gitops.run import Scores, Step


def keep_result(
    workspace: Workspace,
    fingerprint: str,
    split: str,
    outputs: Mapping[str, Any],
    steps: tuple[Step, ...],
) -> Scores:
    """Put bundle, predictions and their link to the fingerprint into the store, the link last."""
    scores = read_scores(Path(outputs["scores"]))
    if not Path(outputs["model"]).is_dir() or not scores.bundle:
        raise InputError(
            "the train pipeline wrote no model bundle",
            hint="write it with gitops.serving.bundle.write_bundle(model.path, ...)",
        )
    workspace.store.write_copy("bundles", scores.bundle, Path(outputs["model"]))
    Scorer(workspace, "").keep(scores)
    body = {
        "fingerprint": fingerprint,
        "bundle": scores.bundle,
        "split": split,
        "steps": [{"name": step.name, "seconds": step.seconds} for step in steps],
    }
    workspace.store.write_folder(
        "runs",
        fingerprint,
        lambda place: documents.write_document(place / "result.json", "result", body),
    )
    return scores


def read_result(workspace: Workspace, fingerprint: str) -> Any:
    """Return what the store has under a fingerprint: digests of the bundle and of the split."""
    place = workspace.store.find("runs", fingerprint)
    return documents.read_document(place / "result.json", "result")


def score_bundle(request: Mapping[str, Any], *, bundle: str, holdout: str, scores: str) -> None:
    """Predict held-out rows with a fresh bundle: the body of the score step.

    In a pod the result goes into the store as well: nobody else could fetch it from there.
    """
    run_step(request, "score", lambda own: _score(own, request, bundle, holdout, scores))


def _score(
    workspace: Workspace, request: Mapping[str, Any], bundle: str, holdout: str, scores: str
) -> None:
    from gitops.serving.scoring import score_holdout

    target = workspace.model(workspace.request.model).target
    split = str(request["split"])
    found = score_holdout(Path(bundle), Path(holdout), target=target, holdout_key=split)
    write_scores(Path(scores), found)
    if workspace.request.run:
        outputs = {"model": bundle, "scores": scores}
        keep_result(workspace, str(request["fingerprint"]), split, outputs, ())


def recall_result(request: Mapping[str, Any], *, bundle: str, scores: str) -> None:
    """Copy the stored result of the request's fingerprint: the body of the recall step."""
    run_step(request, "recall", lambda own: _recall(own, request, bundle, scores))


def _recall(workspace: Workspace, request: Mapping[str, Any], bundle: str, scores: str) -> None:
    result = read_result(workspace, str(request["fingerprint"]))
    shutil.copytree(workspace.store.find("bundles", result["bundle"]), bundle)
    shutil.copyfile(kept_scores(workspace, result["bundle"], result["split"]), scores)
