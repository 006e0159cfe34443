"""A model's last run comes in; the run that may be judged, and the workspace to judge it in, go out.

In a merge request's pipeline code that nobody reviewed wrote the run. Then only two things of it are
used, as data: which bundle, and how long its steps took. Rows, labels, champion and every prediction
are made here again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gitops.adapters import documents
from gitops.adapters.store import copy_plain, local_folder
from gitops.config import ModelConfig, Zone
from gitops.errors import InputError, RefusedError
from gitops.flow.experiment import read_held, score_comparisons
from gitops.flow.inputs import read_inputs
from gitops.flow.judging import read_run
from gitops.flow.planning import find_base
from gitops.flow.scoring import Scorer
from gitops.flow.workspace import Workspace
from gitops.plan import make_fingerprint
from gitops.run import Run, run_to_json


def receive_run(
    workspace: Workspace, name: str, environ: Mapping[str, str]
) -> tuple[Workspace, Run]:
    """Return a model's run, and the workspace whose store holds what it is judged on.

    Raises:
        RefusedError: the run is of another commit or other inputs, or its bytes are not its bundle.
    """
    claimed = read_run(workspace, name)
    if workspace.request.zone is not Zone.UNTRUSTED:
        return workspace, claimed
    model = workspace.model(name)
    _check_subject(workspace, model, claimed)
    judged = _open_judged(workspace)
    _take_bundle(workspace, judged, claimed.bundle)
    held = read_held(judged, model)
    run = replace(
        claimed,
        base=find_base(workspace, environ, None).commit,
        current=held.current,
        earlier=held.earlier,
        champion=held.champion,
        champion_reason=held.champion_reason,
    )
    with Scorer(judged, model.target) as scorer:
        score_comparisons(scorer, run)
    documents.write_document(judged.document(name, "run.json"), "run", run_to_json(run))
    return judged, run


def _check_subject(workspace: Workspace, model: ModelConfig, claimed: Run) -> None:
    """Refuse a run that is not about this commit and its inputs, as Git has them."""
    found = read_inputs(workspace.repository, workspace.request.head, workspace.config)[model.name]
    if found.inputs is None:
        first = found.refusals[0]
        raise InputError(first.what, where=first.where, hint=first.hint)
    subject = model.name, workspace.request.head, make_fingerprint(model, found.inputs)
    if (claimed.model, claimed.commit, claimed.fingerprint) != subject:
        raise RefusedError(
            "the run is not about this commit and its inputs",
            where=model.name,
            hint="start the pipeline anew; old artifacts are not judged",
        )


def _open_judged(workspace: Workspace) -> Workspace:
    """Return the workspace of the gate's own results, with an empty store."""
    request = replace(workspace.request, zone=Zone.JUDGED)
    judged = Workspace(request, workspace.repository)
    root = judged.store.root
    configured = workspace.settled.store
    if root.parent.resolve() != local_folder(workspace.root.resolve(), configured):
        raise RefusedError("the store lies behind a link", where=configured)
    if root.is_symlink():
        root.unlink()
    # What an artifact brought along is not ours, whatever it is called.
    shutil.rmtree(root, ignore_errors=True)
    return judged


def _take_bundle(workspace: Workspace, judged: Workspace, digest: str) -> None:
    """Copy the candidate's plain files, and hold them to the digest that names them."""
    from gitops.serving.bundle import make_digest

    source = workspace.store.find("bundles", digest)
    if not source.is_dir():
        raise InputError("the run left no bundle", where=digest, hint="see the log of the run job")
    with tempfile.TemporaryDirectory(prefix="gitops-candidate-") as scratch:
        copy = Path(scratch) / "bundle"
        copy_plain(source, copy)
        if make_digest(copy) != digest:
            raise RefusedError("the bundle's bytes are not what its run names", where=digest)
        judged.store.write_copy("bundles", digest, copy)
