"""A pipeline to run comes in; it runs on Kubeflow Pipelines, watched to its true end, and its steps go out.

Compiled here without any credential, placed as the target branch's gitops.yaml says, uploaded under
the commit and its digest, read back, started once. Interrupting this process ends the run.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gitops import log
from gitops.adapters import documents
from gitops.adapters.publish import read_origin
from gitops.config import CONFIG_PATH, Zone
from gitops.digest import make_digest
from gitops.engines import IMAGE, OWN_STEPS, Kubeflow
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.flow import engine
from gitops.flow.credentials import KFP_TOKEN, read_secret
from gitops.flow.engines import EngineWork, Kind
from gitops.flow.pods import forget_error, raise_kept_error, take_documents
from gitops.flow.releasing import is_registered
from gitops.flow.workspace import Workspace
from gitops.inference import make_origin
from gitops.placement import PlacedPipeline, place_pipeline
from gitops.run import Step
from gitops.supervision import RunOrder, RunSnapshot, RunState, Version, find_failing

if TYPE_CHECKING:
    from gitops.adapters.kfp.cluster import Cluster
    from gitops.config import ModelConfig

POLL = 2.0
# Compiling imports a team's code, which may never come to an end.
COMPILE_SECONDS = 600.0
# What only the caller's machine knows, or what another day would ask differently.
_LOCAL = ("repository", "today")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What names a repository on a shared cluster: the address of its origin, and a name made of it."""

    origin: str
    name: str


def run_on_cluster(
    workspace: Workspace,
    model: ModelConfig,
    work: EngineWork,
    scratch: Path,
    environ: Mapping[str, str],
) -> tuple[Step, ...]:
    """Run a pipeline on Kubeflow to its end; return its steps with their seconds.

    Its documents are where a local run leaves them, and its result is in the store.

    Raises the error of the toolkit's step that failed; InputError with the last lines of a team's
    own step; RefusedError when somebody cancelled the run; OutsideError when the cluster failed,
    took too long or lost the run.
    """
    kubeflow, project = read_kubeflow(workspace), read_project(workspace)
    _refuse_unpushed(workspace)
    placed = compile_placed(workspace, model, work, scratch, environ)
    with open_cluster(kubeflow, work.kind, environ) as cluster:
        name = f"{project.name}-{model.name}-{work.kind}"
        version = upload(cluster, name, workspace.request.head, placed)
        order = make_order(workspace, model, work, placed, version)
        for old in cluster.terminate_superseded(order.experiment, order.group, order.key):
            log.say(f"    terminated {old}: a newer commit took its place")
        with _ending_with_this_process():
            started = cluster.start(order, again=_is_lost(workspace, model, work, environ))
            verb = "attached to" if started.attached else "started"
            log.say(f"    {verb} {started.name} ({started.run_id}) on {kubeflow.host}")
            end = cluster.watch(
                started.run_id, deadline=kubeflow.deadline, poll=POLL, on_lines=_say_lines
            )
        request = replace(workspace.request, model=model.name, run=started.name)
        own = Workspace(request, workspace.repository)
        # What lies here may be of an earlier attempt.
        forget_error(own)
        for step in OWN_STEPS:
            take_documents(own, step)
        if not end.has_succeeded:
            raise_kept_error(own)
            _raise_failure(cluster, end, workspace.document(model.name, "cluster.log"))
    return tuple(
        Step(name=task.name, action="run", reason="success", seconds=task.seconds or 0.0)
        for task in end.tasks
    )


def _refuse_unpushed(workspace: Workspace) -> None:
    """Refuse a commit that pods could not fetch; what a CI job works on is on the server already."""
    head = workspace.request.head
    if workspace.request.zone is Zone.LOCAL and not workspace.repository.is_on_remote(head):
        what = f"commit {head[:12]} is not on origin, and pods fetch it from there"
        raise InputError(what, hint="git push origin HEAD, then run it again")


def read_kubeflow(workspace: Workspace) -> Kubeflow:
    """Return the target branch's settings of Kubeflow; InputError when pipelines run locally."""
    kubeflow = workspace.settled.kubeflow
    if kubeflow is None:
        raise InputError("pipelines run on this machine", hint="set run.engine in gitops.yaml")
    if not kubeflow.image.rpartition(":")[2].strip("0"):
        raise InputError(
            "run.image still has the digest of an example",
            where=CONFIG_PATH,
            hint="build ci/Dockerfile, push it, and put its digest there",
        )
    return kubeflow


def read_project(workspace: Workspace) -> Project:
    """Return the origin as pods reach it, and the last two parts of its path as a plain name.

    A desk that pushes by ssh and a job with a token in its address mean the same project, or each
    would keep schedules of its own. Raises InputError for a remote that pods cannot reach.
    """
    url = read_origin(workspace.root)
    place = make_origin(url)
    scheme = "http" if url.startswith("http://") else "https"
    plain = "-".join(
        "".join(c if c.isalnum() else "-" for c in part) for part in place.project.split("/")[-2:]
    )
    return Project(
        origin=f"{scheme}://{place.host}/{place.project}.git", name=plain.lower().strip("-")[:60]
    )


def open_cluster(kubeflow: Kubeflow, kind: Kind, environ: Mapping[str, str]) -> Cluster:
    """Return the client for the namespace that this kind of pipeline runs in."""
    from gitops.adapters.kfp.cluster import Cluster, Connection

    return Cluster(
        Connection(
            host=kubeflow.host,
            namespace=find_namespace(kubeflow, kind),
            read_token=lambda: read_secret(environ, KFP_TOKEN),
        )
    )


def find_namespace(kubeflow: Kubeflow, kind: Kind) -> str:
    """Return where a kind of pipeline runs: what nobody reviewed has a namespace of its own."""
    is_experiment = kind is Kind.EXPERIMENTAL
    return kubeflow.namespace if is_experiment else kubeflow.production_namespace


def find_account(kubeflow: Kubeflow, kind: Kind) -> str:
    """Return as whom the pods of a kind of pipeline run."""
    is_experiment = kind is Kind.EXPERIMENTAL
    return kubeflow.service_account if is_experiment else kubeflow.production_service_account


def compile_placed(
    workspace: Workspace,
    model: ModelConfig,
    work: EngineWork,
    scratch: Path,
    environ: Mapping[str, str],
) -> PlacedPipeline:
    """Compile in a process without credentials, then place as the target branch says."""
    from gitops.adapters.kfp.compilation import make_own_steps, read_compiled

    target = scratch / "pipeline.yaml"
    engine.run_pipeline(
        {**work.request, "compile": str(target)},
        scratch,
        workspace.document(model.name, "compile.log"),
        environ=engine.clean_environment(environ),
        seconds=COMPILE_SECONDS,
    )
    return place_pipeline(
        read_compiled(target),
        read_kubeflow(workspace),
        default_image=IMAGE,
        own_steps=make_own_steps(),
        production=work.kind is not Kind.EXPERIMENTAL,
    )


def upload(cluster: Cluster, pipeline: str, commit: str, placed: PlacedPipeline) -> Version:
    """Bring the pipeline to the cluster under commit and digest; what is there is compared with it."""
    digest = placed.digest.removeprefix("sha256:")[:12]
    return cluster.upload(pipeline, f"{commit[:12]}-{digest}", placed.content)


def make_order(
    workspace: Workspace,
    model: ModelConfig,
    work: EngineWork,
    placed: PlacedPipeline,
    version: Version,
) -> RunOrder:
    """Say what should run once: the same pipeline with the same arguments is the same run."""
    kubeflow, project = read_kubeflow(workspace), read_project(workspace)
    arguments = make_pod_arguments(work, project)
    about = make_digest([work.subject, placed.digest, arguments]).removeprefix("sha256:")
    reference = workspace.request.merge_request
    return RunOrder(
        key=f"{model.name}-{work.kind}-{about[:16]}",
        experiment=f"{project.name}-{model.name}",
        namespace=find_namespace(kubeflow, work.kind),
        version=version,
        arguments=arguments,
        named="request",
        pipeline_root=kubeflow.pipeline_root,
        service_account=find_account(kubeflow, work.kind),
        description=f"{model.name} {work.kind} of {workspace.request.head[:12]} {reference}".strip(),
        group=f"{reference}/{model.name}" if reference else "",
    )


def make_pod_arguments(work: EngineWork, project: Project) -> dict[str, Any]:
    """Return the pipeline's arguments for pods, which share no folder with anybody."""
    given: Mapping[str, Any] = work.request["arguments"]
    kept = {key: value for key, value in given["request"].items() if key not in _LOCAL}
    return {**given, "request": {**kept, "repository": "", "origin": project.origin}}


def _is_lost(
    workspace: Workspace, model: ModelConfig, work: EngineWork, environ: Mapping[str, str]
) -> bool:
    """Tell whether what a run that succeeded made is gone: a cleaned store, a rewritten history."""
    if work.kind is Kind.EXPERIMENTAL:
        return not workspace.store.has("runs", work.subject)
    return not is_registered(workspace, model, work.subject, environ)


def _say_lines(lines: tuple[str, ...]) -> None:
    for line in lines:
        log.say(line)


@contextmanager
def _ending_with_this_process() -> Iterator[None]:
    """Let a cancelled job interrupt the watch, which then ends the run: nothing may go on alone."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _raise_failure(cluster: Cluster, end: RunSnapshot, log_file: Path) -> NoReturn:
    """Raise what a team's step printed last, else the state itself."""
    failed = find_failing(end)
    if end.state is RunState.CANCELED:
        # No error of the outside world: a job that tried again would end the newer run in its turn.
        raise RefusedError(
            "the run was cancelled on the cluster",
            where=end.run_id,
            hint="a newer commit took its place, or somebody ended it; to start it anew, run it again",
        )
    if not failed or end.state is not RunState.FAILED:
        raise OutsideError(
            f"the run ended as {end.state.lower()}: {end.error or 'nobody said why'}",
            where=end.run_id,
            hint="run it again; a new attempt is started",
        )
    lines = [
        line for task in failed for line in (f"{task.name}:", *cluster.read_log(end.run_id, task))
    ]
    documents.write_file(log_file, "\n".join(lines) + "\n")
    tail = "\n".join(f"    | {line}" for line in lines[-25:])
    names = ", ".join(f"'{task.name}'" for task in failed)
    raise InputError(f"the step {names} failed\n{tail}", hint=f"the whole log: {log_file}")
