"""A release comes in; the target branch carries the manifest of its service, and the cluster serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gitops.adapters.kserve import ClusterService, Patience, open_cluster
from gitops.adapters.publish import GitRemote, Question, publish_file
from gitops.change import make_served_paths
from gitops.errors import InputError
from gitops.flow.cluster_turn import ClusterTurn, Replay
from gitops.flow.credentials import KUBE_TOKEN, read_secret
from gitops.inference import (
    STOCK_RUNTIMES,
    make_origin,
    plan_served,
    render_bytes,
    render_service,
)
from gitops.rollout import Rollout, make_identity

if TYPE_CHECKING:
    from gitops.config import ModelConfig
    from gitops.engines import Kserve
    from gitops.release import Release


def open_service(
    model: ModelConfig, kserve: Kserve, environ: Mapping[str, str], patience: Patience
) -> ClusterService:
    """Return a model's InferenceService on the cluster that the environment names."""
    return ClusterService(
        open_cluster(environ, patience, token=read_secret(environ, KUBE_TOKEN)),
        namespace=model.serve.namespace,
        name=model.serve.name,
        gateway=kserve.gateway,
    )


def roll_out_cluster(
    model: ModelConfig,
    kserve: Kserve,
    release: Release,
    *,
    remote: GitRemote,
    proof: Replay | None,
    environ: Mapping[str, str],
    on_step: Callable[[str], None],
    patience: Patience | None = None,
) -> Rollout:
    """Commit the manifest of a release's service, then roll it out, unless others do that.

    `model` and `kserve` are those of the target branch, which carries `release`; pods fetch from
    `remote`, where the manifest is committed; `proof` is None when the gate's predictions are not here.

    Raises:
        RefusedError, OutsideError: as `ClusterTurn.run`, or the branch moved on meanwhile.
        InputError: the remote or the runtime cannot serve like this.
    """
    if kserve.apply and kserve.runtime in STOCK_RUNTIMES:
        raise InputError(
            f"{kserve.runtime} cannot say which model it serves, so no rollout can check it",
            hint="set rollout.runtime to gitops-serve, or `apply: false`",
        )
    rendered = render_service(model, kserve, release, make_origin(remote.url))
    committed = _commit(model, kserve, release, remote, render_bytes(rendered))
    on_step("committed")
    result = Rollout(
        model=model.name,
        url="",
        engine="kserve",
        identity=make_identity(release),
        parity=None,
        previous=None,
        changed=bool(committed),
        applied=False,
        committed=committed,
    )
    if not kserve.apply:
        return result
    turn = ClusterTurn(
        service=open_service(model, kserve, environ, patience or Patience()),
        rendered=rendered,
        identity=result.identity,
        kserve=kserve,
        proof=proof,
        on_step=on_step,
    )
    return _add_turn(result, turn, turn.run().url)


def _add_turn(result: Rollout, turn: ClusterTurn, url: str) -> Rollout:
    return replace(
        result,
        url=f"{url}/v1/models/{turn.service.name}:predict",
        parity=turn.parity,
        previous=turn.previous,
        changed=turn.is_changed,
        applied=True,
        steps=tuple(turn.steps),
    )


def _commit(
    model: ModelConfig, kserve: Kserve, release: Release, remote: GitRemote, content: bytes
) -> str:
    """Bring the manifest to the target branch; return the commit, empty when it was there."""
    (path,) = make_served_paths(kserve, model)
    served = publish_file(
        remote,
        Question(config=model),
        path,
        lambda target, now: plan_served(target, now, release=release, path=path, content=content),
    )
    return served.commit if served is not release and served.created else ""
