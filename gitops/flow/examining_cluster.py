"""A workspace comes in; whether its object store, Kubeflow and the cluster that serves answer, goes out.

Each is asked one harmless question with the credentials of whoever asks; nothing is changed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gitops.doctor.facts import (
    Advice,
    Unread,
    make_failure,
    make_ok,
    make_unknown,
    make_warning,
)
from gitops.engines import Kserve, Kubeflow
from gitops.errors import GitopsError, OutsideError
from gitops.flow.credentials import KFP_TOKEN, read_secret
from gitops.flow.engines import Kind
from gitops.flow.workspace import Workspace

_NOBODY = "0" * 64
_NAMES = {Kind.EXPERIMENTAL: "kubeflow-review", Kind.PRODUCTION: "kubeflow-main"}


def examine_cluster(workspace: Workspace, environ: Mapping[str, str]) -> Iterator[Advice]:
    """Yield a check for each part of a cluster that the target branch's gitops.yaml names."""
    config = workspace.settled
    if "://" in config.store:
        yield _check("store", config.store, lambda: _ask_store(workspace))
    if config.kubeflow is not None:
        yield _check_namespaces(config.kubeflow)
        for kind in (Kind.EXPERIMENTAL, Kind.PRODUCTION):
            yield _check_kubeflow(workspace, config.kubeflow, kind, environ)
    if config.kserve is not None and config.kserve.apply:
        yield _check_kserve(workspace, config.kserve, environ)


def _check(name: str, where: str, ask: Callable[[], object]) -> Advice:
    try:
        ask()
    except OutsideError as error:
        return make_unknown(name, Unread(reason=str(error), next=error.hint or "try again"))
    except GitopsError as error:
        return make_failure(name, str(error), error.hint or "gitops plan")
    return make_ok(name, f"{where} answers")


def _ask_store(workspace: Workspace) -> None:
    workspace.store.has("runs", _NOBODY)


def _check_namespaces(kubeflow: Kubeflow) -> Advice:
    name = "zones"
    if kubeflow.namespace == kubeflow.production_namespace:
        return make_warning(
            name,
            f"merge requests and reviewed pipelines share the namespace {kubeflow.namespace}, and "
            "with it all secrets there",
            "set run.production_namespace to one of its own",
        )
    return make_ok(name, "merge requests have a namespace of their own")


def _check_kubeflow(
    workspace: Workspace, kubeflow: Kubeflow, kind: Kind, environ: Mapping[str, str]
) -> Advice:
    from gitops.flow.cluster_engine import (
        find_namespace,
        open_cluster,
        read_kubeflow,
        read_project,
    )

    def ask() -> None:
        read_kubeflow(workspace)
        read_project(workspace)
        with open_cluster(kubeflow, kind, environ) as cluster:
            cluster.look()

    namespace = find_namespace(kubeflow, kind)
    token = "with" if read_secret(environ, KFP_TOKEN) else "without"
    where = f"{kubeflow.host}, namespace {namespace}, {token} a token,"
    return _check(_NAMES[kind], where, ask)


def _check_kserve(workspace: Workspace, kserve: Kserve, environ: Mapping[str, str]) -> Advice:
    from gitops.adapters.kserve import Patience
    from gitops.flow.cluster_rollouts import open_service

    model = workspace.settled.models[0]
    patience = Patience(answer=10.0, attempts=2)
    return _check(
        "kserve",
        f"the cluster of namespace {model.serve.namespace}",
        lambda: open_service(model, kserve, environ, patience).read(),
    )
