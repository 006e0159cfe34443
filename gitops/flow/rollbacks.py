"""An earlier version comes in; the target branch carries it again, as a new commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters import documents, dvc
from gitops.adapters.publish import Question, publish, read_target
from gitops.flow.releasing import PUSH_TIMEOUT, make_remote
from gitops.flow.trust import require_reviewed
from gitops.pointer import parse_pointer
from gitops.rollout import find_previous, find_registered, find_release, plan_rollback

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gitops.config import ModelConfig
    from gitops.flow.workspace import Workspace
    from gitops.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A return to an earlier release: from which version, and the commit that carries it now."""

    leaving: str
    release: Release


def roll_back(
    workspace: Workspace,
    model: ModelConfig,
    *,
    to: str,
    reason: str,
    environ: Mapping[str, str],
) -> Rollback:
    """Commit an earlier release's pointer and manifest to the target branch; `to` may be empty.

    What was decided is written down before anything is changed: killed and run again, "the previous
    release" still means the same one. `finish_rollback` forgets it.
    """
    require_reviewed(workspace.request)
    remote, question = make_remote(workspace, environ), Question(config=model)
    target = read_target(remote, question)
    intent = _read_intent(workspace, model)
    if intent is None or (to and to != intent["to"]):
        find_registered(target, model.name)
        intent = {
            "leaving": target.carried.manifest.version if target.carried else "",
            "to": to or find_previous(model.name, target),
        }
        documents.write_file(_intent_file(workspace, model), json.dumps(intent))
    restored = find_release(model.name, target, intent["to"])
    pointer = parse_pointer(restored.pointer, model.pointer)
    dvc.prove(workspace.remote, pointer, cache=workspace.cache, timeout=PUSH_TIMEOUT)
    release = publish(
        remote,
        question,
        lambda now: plan_rollback(model, now, **intent, reason=reason),
    )
    return Rollback(leaving=intent["leaving"], release=release)


def finish_rollback(workspace: Workspace, model: ModelConfig) -> None:
    """Forget what a rollback had decided, once it serves."""
    _intent_file(workspace, model).unlink(missing_ok=True)


def _intent_file(workspace: Workspace, model: ModelConfig) -> Path:
    return workspace.document(model.name, "rollback.json")


def _read_intent(workspace: Workspace, model: ModelConfig) -> dict[str, str] | None:
    try:
        content = _intent_file(workspace, model).read_bytes()
    except FileNotFoundError:
        return None
    body = documents.parse_json(content, "rollback.json")
    return {"leaving": str(body["leaving"]), "to": str(body["to"])}
