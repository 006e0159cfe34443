"""A change set and the inputs of every model, before and after, come in; what must run, and why, goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from gitops.change import ChangeSet, FileChange, Kind
from gitops.config import Config, ModelConfig
from gitops.digest import make_digest
from gitops.run import Step

FINGERPRINT_VERSION = 1


class Action(StrEnum):
    """What a plan does with a model or a step."""

    RUN = "run"
    REUSE = "reuse"
    SKIP = "skip"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something cannot be run at all: where, what, and the next step."""

    where: str
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything in Git that one model's result depends on, at one commit.

    Attributes:
        data: digest of each tracked data file or folder, by path.
        sources: (path, mode, object id) of every source; the id of a folder covers all below it.
        params: object id of the params file, empty when there is none.
        lock: object id of the environment lock, empty when none is named.
        pipeline: object id of the repository's own experimental pipeline, or the toolkit's version.
    """

    data: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, str, str], ...]
    params: str
    lock: str
    pipeline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """What was found out about one model before planning.

    Attributes:
        config: the model as the head commit defines it.
        before: fingerprint at the base, None when it did not exist or there is no base.
        after: fingerprint at the head, None when a refusal made it unknowable.
        policy_changed: whether the merge request would change the policy.
        stored: whether the store has a result for `after`.
        data_changed: whether the data differs from the base's.
        refusals: why the model cannot be run at all.
    """

    config: ModelConfig
    before: str | None
    after: str | None
    policy_changed: bool
    stored: bool
    data_changed: bool
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """What happens to one model, and why."""

    name: str
    action: Action
    reason: str
    hint: str
    fingerprint: str | None
    data_changed: bool
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change set leads to.

    Attributes:
        base: commit compared with, None when everything counts as changed.
        head: commit planned.
        base_reason: how the base was found, or why there is none.
        changes: the files that differ.
        models: what happens to each model.
        refusals: changed files that are dangerous or broken; any of them stops everything.
    """

    base: str | None
    head: str
    base_reason: str
    changes: tuple[FileChange, ...]
    models: tuple[ModelPlan, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def planned(self) -> tuple[ModelPlan, ...]:
        """Return the models that something happens to."""
        return tuple(model for model in self.models if model.action is not Action.SKIP)

    @property
    def is_refused(self) -> bool:
        """Tell whether anything at all is refused; then nothing may run."""
        refused = any(model.action is Action.REFUSE for model in self.models)
        return refused or bool(self.refusals)

    @property
    def all_refusals(self) -> tuple[Refusal, ...]:
        """Return every refusal once: of files, and of models where no file's says the same."""
        own = (
            Refusal(where=model.name, what=model.reason, hint=model.hint)
            for model in self.models
            if model.action is Action.REFUSE
        )
        told = [refusal.what for refusal in self.refusals]
        return (*self.refusals, *(one for one in own if not any(w in one.what for w in told)))


def make_fingerprint(model: ModelConfig, inputs: Inputs) -> str:
    """Return the digest of everything a result depends on; equal digests, equal results."""
    return make_digest(
        {
            "version": FINGERPRINT_VERSION,
            "definition": model.definition,
            "data": sorted(inputs.data),
            "sources": sorted(inputs.sources),
            "params": inputs.params,
            "lock": inputs.lock,
            "pipeline": inputs.pipeline,
        }
    )


def make_plan(
    changes: ChangeSet, states: Sequence[ModelState], refusals: Sequence[Refusal] = ()
) -> Plan:
    """Decide for every model what runs, what is reused and what is skipped, each with its reason."""
    return Plan(
        base=changes.base,
        head=changes.head,
        base_reason=changes.reason,
        changes=changes.files,
        models=tuple(_plan_model(changes, state) for state in states),
        refusals=tuple(refusals),
    )


def _plan_model(changes: ChangeSet, state: ModelState) -> ModelPlan:
    action, reason, hint = _decide(changes, state)
    return ModelPlan(
        name=state.config.name,
        action=action,
        reason=reason,
        hint=hint,
        fingerprint=state.after,
        data_changed=state.data_changed,
        steps=_make_steps(action, reason),
    )


def _decide(changes: ChangeSet, state: ModelState) -> tuple[Action, str, str]:
    if state.refusals:
        reason = "; ".join(f"{refusal.where}: {refusal.what}" for refusal in state.refusals)
        hints = dict.fromkeys(refusal.hint for refusal in state.refusals if refusal.hint)
        return Action.REFUSE, reason, "; ".join(hints)
    if state.before is not None and state.before == state.after and not state.policy_changed:
        return Action.SKIP, explain_skip(changes, state.config), ""
    action = Action.REUSE if state.stored else Action.RUN
    return action, explain_run(changes, state), ""


def explain_skip(changes: ChangeSet, model: ModelConfig) -> str:
    """Say why nothing happens to a model."""
    if not changes.files:
        return "nothing changed"
    if all(change.kind is Kind.OUTPUT for change in changes.files):
        return "only outputs of the toolkit changed, and those never trigger a run"
    return f"no changed file is an input of {model.name}"


_NOUNS = {
    Kind.DATA: "data",
    Kind.CODE: "code",
    Kind.PARAMS: "params",
    Kind.POLICY: "its definition in gitops.yaml",
    Kind.CONTROL: "control files",
}


def explain_run(changes: ChangeSet, state: ModelState) -> str:
    """Say which inputs of a model changed."""
    if changes.everything:
        return changes.reason
    if state.before is None:
        return "the model is new"
    if state.before == state.after:
        return "only its policy changed: the same result is judged again"
    own = [change for change in changes.files if state.config.name in change.models]
    kinds = [kind for kind in _NOUNS if any(change.kind is kind for change in own)]
    named = " and ".join(_NOUNS[kind] for kind in kinds) or "its environment or definition"
    paths = ", ".join(change.path for change in own[:3])
    more = f" and {len(own) - 3} more" if len(own) > 3 else ""
    return f"{named} changed" + (f": {paths}{more}" if own else "")


def _make_steps(action: Action, reason: str) -> tuple[Step, ...]:
    """Return the steps of a merge request, each with the reason it runs, is reused or is skipped."""
    if action in (Action.SKIP, Action.REFUSE):
        names = ("prepare", "train", "score", "gate")
        return tuple(Step(name=name, action=Action.SKIP, reason=reason) for name in names)
    stored = "a result of the same fingerprint is in the store"
    whys = {
        "prepare": "split the rows by their key",
        "train": reason,
        "score": "predict held-out rows through the server's own predictor",
    }
    first = tuple(
        Step(name=name, action=action, reason=stored if action is Action.REUSE else why)
        for name, why in whys.items()
    )
    return (*first, Step(name="gate", action=Action.RUN, reason="judged anew each time"))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the JSON document of a plan."""
    return asdict(plan)


def plan_from_json(body: Mapping[str, Any]) -> Plan:
    """Read a plan back; the document has passed its schema."""
    return Plan(
        **{key: body[key] for key in ("base", "head", "base_reason")},
        changes=tuple(_change(change) for change in body["changes"]),
        models=tuple(_model(model) for model in body["models"]),
        refusals=tuple(Refusal(**refusal) for refusal in body["refusals"]),
    )


def _change(body: Mapping[str, Any]) -> FileChange:
    return FileChange(**{**body, "kind": Kind(body["kind"]), "models": tuple(body["models"])})


def _model(body: Mapping[str, Any]) -> ModelPlan:
    steps = tuple(Step(**step) for step in body["steps"])
    return ModelPlan(**{**body, "action": Action(body["action"]), "steps": steps})


def find_policy(config: Config | None, name: str) -> ModelConfig | None:
    """Return the target branch's definition of a model, None when it has none yet."""
    models = config.models if config else ()
    return next((model for model in models if model.name == name), None)


def render_plan(plan: Plan) -> list[str]:
    """Return the plan in words: what is compared, what changed, and what each model does and why."""
    lines = [f"{plan.head[:10]}: {plan.base_reason}"]
    lines += _render_changes(plan.changes)
    for refusal in plan.refusals:
        lines.append(f"refused: {show(refusal.where)}: {refusal.what}")
        lines += [f"  hint: {refusal.hint}"] if refusal.hint else []
    for model in plan.models:
        lines.append(f"{model.name}: {model.action}: {show(model.reason)}")
        lines += [f"  hint: {model.hint}"] if model.hint and not plan.refusals else []
        if model.action in (Action.RUN, Action.REUSE):
            lines += [
                f"  {step.name:<8} {step.action:<6} {show(step.reason)}" for step in model.steps
            ]
    if not plan.planned and not plan.refusals:
        lines.append("nothing to run")
    return lines


def _render_changes(changes: Sequence[FileChange], most: int = 20) -> list[str]:
    lines = [
        f"  {change.status:<12} {change.kind:<8} {show(change.path)}" for change in changes[:most]
    ]
    return lines + ([f"  … and {len(changes) - most} more"] if len(changes) > most else [])


def show(text: str) -> str:
    """Return text that is safe to print: control characters and lone surrogates are escaped."""
    return "".join(c if c.isprintable() or c == " " else ascii(c)[1:-1] for c in text)
