"""The target branch comes in; the model that it carries serves, compared row by row, and its document goes out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops.adapters import documents, dvc
from gitops.adapters.local_server import (
    DRAIN,
    LocalService,
    Running,
    ask_identity,
    open_service,
    replay,
)
from gitops.adapters.publish import Question, read_target
from gitops.errors import OutsideError, RefusedError
from gitops.flow.cluster_rollouts import roll_out_cluster
from gitops.flow.cluster_turn import Replay
from gitops.flow.preparing import HOLDOUT
from gitops.flow.releasing import make_remote
from gitops.flow.scoring import kept_scores, read_scores
from gitops.flow.trust import require_reviewed
from gitops.pointer import parse_pointer
from gitops.release import Carried, Release
from gitops.rollout import (
    Parity,
    Rollout,
    RolloutStep,
    ServedIdentity,
    compare_rows,
    find_registered,
    make_identity,
    rollout_to_json,
)
from gitops.run import Scores, run_from_json

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.config import ModelConfig
    from gitops.flow.workspace import Workspace

FETCH_TIMEOUT = 1800.0
ANSWER_TIMEOUT = 60.0
RolloutCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the gate saw a bundle predict, and the rows it predicted."""

    scores: Scores
    holdout: Path


def ignore_step(step: str) -> None:
    """Do nothing: the callback of those who do not follow the steps."""
    del step


def find_deployed(workspace: Workspace, name: str) -> ModelConfig:
    """Return a model as the target branch defines it: a merge request's idea of it serves nobody."""
    return workspace.settled.model(name)


def find_released(workspace: Workspace, environ: Mapping[str, str]) -> tuple[ModelConfig, ...]:
    """Return the models that the target branch carries a release of, as it is right now."""
    remote = make_remote(workspace, environ)
    models = workspace.settled.models
    return tuple(m for m in models if read_target(remote, Question(config=m)).carried)


def service_folder(workspace: Workspace, model: ModelConfig) -> Path:
    """Return where the local engine keeps the state of a model's service."""
    return workspace.folder / "serve" / model.serve.name


def find_expected(workspace: Workspace, model: ModelConfig, bundle: str) -> Expected | None:
    """Return the predictions that the gate saw from this bundle, None when it never judged it here."""
    place = workspace.document(model.name, "run.json")
    if not place.exists():
        return None
    key = run_from_json(documents.read_document(place, "run")).current.key
    kept = kept_scores(workspace, bundle, key)
    holdout = workspace.store.find("splits", key) / HOLDOUT
    if not (kept.exists() and holdout.exists()):
        return None
    scores = read_scores(kept)
    return Expected(scores=scores, holdout=holdout) if scores.problem is None else None


def roll_out(
    workspace: Workspace,
    model: ModelConfig,
    *,
    environ: Mapping[str, str],
    expected: Expected | None = None,
    on_step: RolloutCallback = ignore_step,
) -> Rollout:
    """Serve what the target branch carries; what served before goes on until the new one is proven.

    The bytes come from the DVC remote by hash, never from the store: what serves is what was released.

    Raises:
        RefusedError: the new server does not predict what the gate saw, or the bytes are others.
        OutsideError: the new server did not start, or a remote failed.
    """
    require_reviewed(workspace.request)
    remote = make_remote(workspace, environ)
    carried, release = find_registered(read_target(remote, Question(config=model)), model.name)
    if expected is None:
        expected = find_expected(workspace, model, release.manifest.bundle)
    kserve = workspace.settled.kserve
    if kserve is not None:
        proof = Replay(scores=expected.scores, rows=_read_rows(expected)) if expected else None
        return roll_out_cluster(
            model,
            kserve,
            release,
            remote=remote,
            proof=proof,
            environ=environ,
            on_step=on_step,
        )
    with open_service(service_folder(workspace, model), model.serve.name, environ) as service:
        turn = Turn(service=service, release=release, expected=expected, on_step=on_step)
        return turn.run(lambda: _fetch_bundle(workspace, model, carried, service), model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One server's turn: started, compared, switched to, and the one before it stopped.

    Killed anywhere and run again, it converges: strangers of this service are stopped first, and a
    server that is already the right one is compared again but not started again.
    """

    service: LocalService
    release: Release
    expected: Expected | None
    on_step: Callable[[RolloutStep], None]

    def run(self, fetch: Callable[[], Path], model: ModelConfig) -> Rollout:
        """Take the turn; `fetch` brings the bundle if a server has to be started."""
        service = self.service
        current, previous = service.read_current(), service.read_previous()
        service.stop_others(current)
        wanted = make_identity(self.release)
        serving = current if current is not None and self._answers(current, wanted) else None
        new = serving or self._start(fetch, wanted)
        try:
            parity = self._prove(new, wanted)
            port = service.open_front(model.serve.port)
            service.switch(new)
        except BaseException:
            if serving is None:
                service.stop(new)
            raise
        self.on_step(RolloutStep.SWITCHED)
        service.stop_others(new, drain=DRAIN)
        self.on_step(RolloutStep.DRAINED)
        return Rollout(
            model=model.name,
            url=f"http://127.0.0.1:{port}/v1/models/{model.serve.name}:predict",
            port=port,
            pid=new.pid,
            identity=wanted,
            parity=parity,
            previous=previous,
            changed=serving is None,
        )

    def _start(self, fetch: Callable[[], Path], wanted: ServedIdentity) -> Running:
        bundle = fetch()
        self.on_step(RolloutStep.FETCHED)
        new = self.service.start(bundle, wanted)
        self.on_step(RolloutStep.STARTED)
        return new

    def _answers(self, running: Running, wanted: ServedIdentity) -> bool:
        """Tell whether the current server is alive and already the one that should serve."""
        try:
            return ask_identity(running.port, self.service.name, timeout=ANSWER_TIMEOUT) == wanted
        except OutsideError:
            return False

    def _prove(self, new: Running, wanted: ServedIdentity) -> Parity | None:
        name = self.service.name
        told = ask_identity(new.port, name, timeout=ANSWER_TIMEOUT)
        if told != wanted:
            raise RefusedError(f"the new server says it is {told.model} {told.version or '?'}")
        self.on_step(RolloutStep.IDENTIFIED)
        parity = None
        if self.expected is not None:
            rows = _read_rows(self.expected)
            answers = replay(new.port, name, rows, timeout=ANSWER_TIMEOUT)
            parity = compare_rows(self.expected.scores, answers)
        self.on_step(RolloutStep.REPLAYED)
        return parity


def _read_rows(expected: Expected) -> list[dict[str, Any]]:
    """Return the held-out rows in the order of the predictions, joined by row id."""
    lines = expected.holdout.read_text("utf-8").splitlines()
    parsed = (documents.parse_json(line, str(expected.holdout)) for line in lines)
    by_id = {body["id"]: body["row"] for body in parsed}
    if set(by_id) != set(expected.scores.ids):
        raise RefusedError("the held-out rows are not those that the gate judged")
    return [by_id[name] for name in expected.scores.ids]


def _fetch_bundle(
    workspace: Workspace, model: ModelConfig, carried: Carried, service: LocalService
) -> Path:
    """Bring the released bytes, checked by hash twice: DVC's, and the bundle's own."""
    from gitops.serving.bundle import make_digest

    bundles = service.folder / "bundles"
    shutil.rmtree(bundles, ignore_errors=True)
    folder = dvc.fetch(
        workspace.remote,
        parse_pointer(carried.pointer, model.pointer),
        cache=workspace.cache,
        repository=workspace.root,
        destination=bundles / carried.manifest.bundle.removeprefix("sha256:"),
        timeout=FETCH_TIMEOUT,
    )
    if make_digest(folder) != carried.manifest.bundle:
        raise RefusedError(
            "the released bytes are not the ones that were judged", where=model.manifest
        )
    return folder


def write_rollout(workspace: Workspace, rollout: Rollout) -> Path:
    """Write the rollout document of a model."""
    place = workspace.document(rollout.model, "rollout.json")
    documents.write_document(place, "rollout", rollout_to_json(rollout))
    return place
