"""An order comes in; the one run of it goes out, whatever replies were lost on the way."""

from __future__ import annotations

from itertools import islice
from typing import Any

from gitops.adapters.kfp.api import Api, make_filter
from gitops.adapters.kfp.connection import AnswerError, UnclearError
from gitops.adapters.kfp.uploads import LOOKS, make_once
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.supervision import (
    MOST_ATTEMPTS,
    FoundRun,
    Mark,
    NextRun,
    RunOrder,
    Started,
    Version,
    find_attempts,
    find_superseded,
    has_same_values,
    make_run_name,
    parse_mark,
    parse_state,
    plan_run,
    render_mark,
)

# A run has a deadline, so that no active one is older than this many others.
_NEWEST = 1000


def parse_run(body: dict[str, Any]) -> FoundRun:
    """Read a run as the API shows it; what it leaves out is empty."""
    reference, config = body.get("pipeline_version_reference"), body.get("runtime_config")
    reference = reference if isinstance(reference, dict) else {}
    config = config if isinstance(config, dict) else {}
    parameters = config.get("parameters")
    return FoundRun(
        run_id=str(body.get("run_id") or ""),
        name=str(body.get("display_name") or ""),
        state=parse_state(body.get("state")),
        created=str(body.get("created_at") or ""),
        mark=parse_mark(body.get("description")),
        version=Version(
            pipeline_id=str(reference.get("pipeline_id") or ""),
            version_id=str(reference.get("pipeline_version_id") or ""),
        ),
        arguments=parameters if isinstance(parameters, dict) else {},
    )


def find_experiment(api: Api, name: str, namespace: str) -> str:
    """Return an experiment's id, empty when there is none."""
    listed = api.pages(
        api.experiments.experiment_service_list_experiments,
        "experiments",
        namespace=namespace,
        filter=make_filter("display_name", "EQUALS", name),
    )
    for item in listed:
        if item.get("display_name") == name and item.get("namespace", "") in ("", namespace):
            if item.get("storage_state") == "ARCHIVED":
                raise InputError(
                    f"the experiment {name} is archived", hint="restore it in the Kubeflow page"
                )
            return str(item.get("experiment_id") or "")
    return ""


def need_experiment(api: Api, name: str, namespace: str) -> str:
    """Return an experiment's id; it is created when it is missing."""

    def create() -> object:
        body = api.models.V2beta1Experiment(display_name=name, namespace=namespace)
        return api.send(api.experiments.experiment_service_create_experiment, body)

    return make_once(
        api, lambda: find_experiment(api, name, namespace), create, f"experiment {name}"
    )


def list_runs(
    api: Api, experiment_id: str, name: str = "", *, most: int | None = None
) -> tuple[FoundRun, ...]:
    """Return an experiment's runs, newest first: those whose name contains `name`, `most` of them."""
    query = {"filter": make_filter("display_name", "IS_SUBSTRING", name)} if name else {}
    listed = api.pages(
        api.runs.run_service_list_runs,
        "runs",
        experiment_id=experiment_id,
        sort_by="created_at desc",
        **query,
    )
    return tuple(parse_run(item) for item in islice(listed, most))


def start_run(api: Api, order: RunOrder, *, again: bool = False) -> Started:
    """Attach to the order's run or create it; as `Cluster.start` says."""
    experiment_id = need_experiment(api, order.experiment, order.namespace)
    try:
        return _start(api, order, experiment_id, again=again)
    except (KeyboardInterrupt, SystemExit):
        # The job was cancelled, perhaps between asking for the run and hearing of it.
        _end_started(api, order, experiment_id)
        raise


def _start(api: Api, order: RunOrder, experiment_id: str, *, again: bool) -> Started:
    found = list_runs(api, experiment_id, order.key)
    done = max(find_attempts(order.key, found), default=0) if again else 0
    before = plan_run(order.key, found, done=done)

    def look() -> NextRun:
        return plan_run(order.key, list_runs(api, experiment_id, order.key), done=done)

    if before.run is not None:
        return _settle(api, order, before, attached=True)
    if before.attempt > MOST_ATTEMPTS:
        raise InputError(f"{order.key} was tried {MOST_ATTEMPTS} times, and never succeeded")
    for attempt in range(1, LOOKS + 1):
        trouble = _create(api, order, experiment_id, before.attempt)
        after = _look_hard(api, look, before.attempt, hidden=trouble is None)
        if after is not None:
            return _settle(api, order, after, attached=False)
        if trouble is None:
            raise OutsideError(
                "the run was created, but Kubeflow does not show it", where=order.key
            )
        if attempt == LOOKS:
            raise trouble
    raise AssertionError  # the loop returns or raises


def _end_started(api: Api, order: RunOrder, experiment_id: str) -> None:
    found = plan_run(order.key, list_runs(api, experiment_id, order.key))
    for run in filter(None, (found.run, *found.surplus)):
        if run.mark.key == order.key:
            terminate_run(api, run.run_id)


def _create(api: Api, order: RunOrder, experiment_id: str, attempt: int) -> UnclearError | None:
    """Create the run, once; return the error that leaves open whether it was created."""
    mark = Mark(key=order.key, group=order.group)
    models = api.models
    name = make_run_name(order.key, attempt)
    run = models.V2beta1Run(
        experiment_id=experiment_id,
        display_name=name,
        description=render_mark(mark, order.description),
        pipeline_version_reference=models.V2beta1PipelineVersionReference(
            pipeline_id=order.version.pipeline_id, pipeline_version_id=order.version.version_id
        ),
        runtime_config=models.V2beta1RuntimeConfig(
            parameters=order.make_arguments(name), pipeline_root=order.pipeline_root or None
        ),
        service_account=order.service_account or None,
    )
    try:
        api.send(api.runs.run_service_create_run, run)
    except UnclearError as error:
        return error
    return None


def _look_hard(api: Api, look: Any, attempt: int, *, hidden: bool) -> NextRun | None:
    """Look for the run just asked for, a few times: it may be on its way.

    `hidden` says that the server confirmed it, so that not seeing it is the list's delay.
    """
    for turn in range(1, LOOKS + (3 if hidden else 1)):
        found: NextRun = look()
        # It may have failed already, in which case the plan is the attempt after it.
        if found.run is not None or found.attempt > attempt:
            return found
        api.connection.sleep(api.wait_seconds(turn))
    return None


def _settle(api: Api, order: RunOrder, found: NextRun, *, attached: bool) -> Started:
    """End the younger ones of a race, and check that what stays is what was ordered."""
    for surplus in found.surplus:
        if surplus.mark.key == order.key:
            terminate_run(api, surplus.run_id)
    run = found.run or found.last
    if run is None:
        raise OutsideError("Kubeflow no longer shows the run", where=order.key)
    _check_order(order, run)
    return Started(run_id=run.run_id, name=run.name, attached=attached)


def _check_order(order: RunOrder, run: FoundRun) -> None:
    wanted = order.make_arguments(run.name)
    same = run.version == order.version and has_same_values(run.arguments, wanted)
    if not same or run.mark.key != order.key:
        raise RefusedError(
            f"another run has the name {run.name}: not this pipeline, or not these arguments",
            where=order.experiment,
            hint="end or delete it in the Kubeflow page, then run again",
        )


def terminate_superseded(
    api: Api, experiment: str, namespace: str, group: str, keep_key: str
) -> tuple[str, ...]:
    """End the active runs of a group with another key; return their names."""
    experiment_id = find_experiment(api, experiment, namespace)
    if not experiment_id:
        return ()
    runs = find_superseded(group, keep_key, list_runs(api, experiment_id, most=_NEWEST))
    for run in runs:
        terminate_run(api, run.run_id)
    return tuple(run.name for run in runs)


def terminate_run(api: Api, run_id: str) -> None:
    """Ask the cluster to end a run; one that has ended or is gone counts as ended."""
    for attempt in range(1, LOOKS + 1):
        try:
            api.send(api.runs.run_service_terminate_run, run_id)
        except UnclearError as error:
            if attempt == LOOKS:
                raise
            api.connection.sleep(api.wait_seconds(attempt, error.retry_after))
        except AnswerError as error:
            if error.status not in (400, 404, 409):
                raise
            return
        else:
            return
