"""A planned model comes in; it is trained and scored, or its stored result reused; a `Run` goes out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitops import log
from gitops.adapters import documents
from gitops.config import CONFIG_PATH, ModelConfig
from gitops.errors import InputError, OutsideError
from gitops.flow import engine
from gitops.flow.champion import read_champion
from gitops.flow.engines import EngineWork, Kind, run_engine
from gitops.flow.failures import recording_failure
from gitops.flow.preparing import read_data_pointer, split_data
from gitops.flow.results import keep_result, read_result
from gitops.flow.scoring import Scorer
from gitops.flow.workspace import Workspace
from gitops.plan import ModelPlan
from gitops.run import Champion, HoldoutRows, Run, Step, run_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The held-out rows that both models meet on, and the model in production."""

    current: HoldoutRows
    earlier: HoldoutRows | None
    champion: Champion | None
    champion_reason: str


def run_experiment(
    workspace: Workspace, planned: ModelPlan, base: str | None, environ: Mapping[str, str]
) -> Run:
    """Run a model's experiment, or reuse the result of the same fingerprint, and score what is compared.

    What ends it without a result is written to `failure.json` as well, for the jobs that come after.
    """
    model = workspace.model(planned.name)
    fingerprint = _known_fingerprint(planned)
    with (
        recording_failure(workspace, model.name, fingerprint),
        Scorer(workspace, model.target) as scorer,
        log.section("run", f"run {model.name}"),
    ):
        stored = workspace.store.has("runs", fingerprint)
        held = read_held(workspace, model)
        if not stored or held.champion is not None:
            scorer.start()
        steps = _reuse(planned) if stored else _train(workspace, model, fingerprint, held, environ)
        return finish_run(workspace, model.name, fingerprint, base, held, steps, scorer)


def finish_run(
    workspace: Workspace,
    name: str,
    fingerprint: str,
    base: str | None,
    held: Held,
    steps: tuple[Step, ...],
    scorer: Scorer | None = None,
) -> Run:
    """Score and inspect both models, and write the run document of a stored result."""
    run = Run(
        model=name,
        commit=workspace.request.head,
        base=base,
        fingerprint=fingerprint,
        bundle=read_result(workspace, fingerprint)["bundle"],
        current=held.current,
        earlier=held.earlier,
        champion=held.champion,
        champion_reason=held.champion_reason,
        steps=steps,
    )
    with scorer or Scorer(workspace, workspace.model(name).target) as scores:
        score_comparisons(scores, run)
    documents.write_document(workspace.document(name, "run.json"), "run", run_to_json(run))
    return run


def _known_fingerprint(planned: ModelPlan) -> str:
    if planned.fingerprint is None:
        raise InputError(f"{planned.name} cannot be run: {planned.reason}", hint=planned.hint)
    return planned.fingerprint


def read_held(workspace: Workspace, model: ModelConfig) -> Held:
    """Split the data of the head commit, and the champion's where it differs."""
    head = workspace.request.head
    pointer = read_data_pointer(workspace, head, workspace.config, model.name)
    champion, reason = read_champion(workspace, model)
    current = split_data(workspace, model, pointer)
    earlier = _split_champion_data(workspace, champion, model) if champion else None
    same = earlier is None or earlier.key == current.key
    return Held(
        current=current,
        earlier=None if same else earlier,
        champion=champion,
        champion_reason=reason,
    )


def _split_champion_data(
    workspace: Workspace, champion: Champion, model: ModelConfig
) -> HoldoutRows:
    """Split the data that made the champion as this commit splits its own.

    It is read at the commit that was released, not at the target branch's tip: data that was merged
    and never released was never the champion's.
    """
    commit = workspace.repository.fetch_commit(champion.source)
    config = workspace.read_config(commit)
    if config is None:
        raise InputError(
            f"{champion.version} was released from a commit without {CONFIG_PATH}", where=commit
        )
    pointer = read_data_pointer(workspace, commit, config, model.name)
    return split_data(workspace, replace(model, data=config.model(model.name).data), pointer)


def _reuse(planned: ModelPlan) -> tuple[Step, ...]:
    for step in planned.steps:
        if step.name != "gate":
            log.note(step.name, "reuse", "a result of the same fingerprint is in the store")
    return tuple(
        Step(name=step.name, action="reuse", reason=step.reason, seconds=0.0)
        for step in planned.steps
        if step.name != "gate"
    )


def _train(
    workspace: Workspace,
    model: ModelConfig,
    fingerprint: str,
    held: Held,
    environ: Mapping[str, str],
) -> tuple[Step, ...]:
    """Run prepare, train and score in the engine; what they made is in the store afterwards."""
    with tempfile.TemporaryDirectory(prefix="gitops-run-") as folder:
        scratch = Path(folder)
        request = make_engine_request(workspace, model, held.current.key, scratch / "sources")
        request["arguments"]["request"]["fingerprint"] = fingerprint
        work = EngineWork(kind=Kind.EXPERIMENTAL, request=request, subject=fingerprint)
        outputs, steps = run_engine(workspace, model, work, scratch, environ)
        if outputs:
            keep_result(workspace, fingerprint, held.current.key, outputs, steps)
    if not workspace.store.has("runs", fingerprint):
        raise OutsideError(
            "the run succeeded, but its result is not in the store",
            where=workspace.settled.store,
            hint="its pods must write to the store of gitops.yaml",
        )
    return steps


def make_engine_request(
    workspace: Workspace, model: ModelConfig, split: str, exported: Path
) -> dict[str, Any]:
    """Export the sources and return the engine's request for the experimental pipeline."""
    engine.export_sources(workspace, model, exported)
    request = {**workspace.request.to_json(), "model": model.name, "split": split}
    return {
        "train": {
            "root": str(exported),
            "file": model.pipeline_file,
            "function": model.pipeline_function,
        },
        "experimental": engine.find_composition(workspace.config, "experimental", exported),
        "arguments": {"request": request, "params": engine.read_params(workspace, model)},
    }


def score_comparisons(scorer: Scorer, run: Run) -> None:
    """Score both models on both held-out sides and inspect them; what the store has stays as it is."""
    timer = log.Timer()
    bundles = [run.bundle, *([run.champion.bundle] if run.champion else [])]
    keys = [run.current.key, *([run.earlier.key] if run.earlier else [])]
    for bundle in bundles:
        for key in keys:
            scorer.score(bundle, key)
        scorer.inspect(bundle, run.current.key)
    if len(bundles) * len(keys) > 1:
        log.say(f"    {'compare':<11} success in {timer.seconds:.1f} s")
