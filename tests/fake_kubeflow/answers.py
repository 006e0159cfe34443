"""A checked request comes in; the world changes as Kubeflow Pipelines would change it, and an answer goes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import kfp_server_api  # type: ignore[import-untyped]  # generated, without types
import yaml

from tests.fake_kubeflow.world import Body, World

PAGE = 20


class RefusalError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(kw_only=True)
class Question:
    """A request: the parts of its path, its query, its JSON body or uploaded file, and who asks."""

    world: World
    parts: dict[str, str]
    query: dict[str, str]
    body: Body
    upload: str
    allowed: set[str]


def check_fields(model: str, body: Body) -> None:
    """Refuse a field that the API does not have, as its gateway does."""
    known = set(getattr(kfp_server_api, model).attribute_map.values())
    if unknown := set(body) - known:
        raise RefusalError(400, f"unknown field {min(unknown)!r}")


def check_namespace(question: Question, name: str) -> str:
    if name not in question.world.namespaces:
        raise RefusalError(400, f"Namespace {name!r} does not exist")
    if name not in question.allowed:
        raise RefusalError(403, f"PermissionDenied: no access to namespace {name!r}")
    return name


def find(table: dict[str, Any], key: str, what: str) -> Any:
    if key not in table:
        raise RefusalError(404, f"{what} {key} not found")
    return table[key]


def listed(question: Question, name: str, items: Iterable[Body]) -> Body:
    """Filter, sort and page as the API does."""
    found = [item for item in items if _passes(item, question.query.get("filter", ""))]
    column, _, direction = question.query.get("sort_by", "created_at").partition(" ")
    found.sort(key=lambda item: str(item.get(column, "")), reverse=direction == "desc")
    start = int(question.query.get("page_token") or 0)
    size = int(question.query.get("page_size") or PAGE)
    body: Body = {name: found[start : start + size], "total_size": len(found)}
    if start + size < len(found):
        body["next_page_token"] = str(start + size)
    return body if found else {}


def _passes(item: Body, text: str) -> bool:
    predicates = json.loads(text)["predicates"] if text else []
    return all(_holds(item, predicate) for predicate in predicates)


def _holds(item: Body, predicate: Body) -> bool:
    if set(predicate) != {"key", "operation", "string_value"}:
        raise RefusalError(400, f"unusable predicate {predicate}")
    value = str(item.get(predicate["key"], ""))
    match predicate["operation"]:
        case "EQUALS":
            return value == str(predicate["string_value"])
        case "IS_SUBSTRING":
            return str(predicate["string_value"]).lower() in value.lower()
    raise RefusalError(400, f"unusable operation {predicate['operation']}")


def list_experiments(question: Question) -> Body:
    namespace = check_namespace(question, question.query.get("namespace", ""))
    items = (e for e in question.world.experiments.values() if e["namespace"] == namespace)
    return listed(question, "experiments", items)


def create_experiment(question: Question) -> Body:
    check_fields("V2beta1Experiment", question.body)
    namespace = check_namespace(question, question.body.get("namespace", ""))
    name = question.body["display_name"]
    for other in question.world.experiments.values():
        if (other["namespace"], other["display_name"]) == (namespace, name):
            raise RefusalError(409, f"Already exist error: experiment {name}")
    body = {**question.body, **question.world.stamp("experiment"), "storage_state": "AVAILABLE"}
    question.world.experiments[body["experiment_id"]] = body
    return body


def get_pipeline_by_name(question: Question) -> Body:
    namespace = check_namespace(question, question.query.get("namespace", ""))
    for pipeline in question.world.pipelines.values():
        if pipeline["display_name"] == question.parts["name"] and pipeline["namespace"] in (
            namespace,
            "",
        ):
            return pipeline
    raise RefusalError(404, f"Pipeline {question.parts['name']} not found")


def create_pipeline(question: Question) -> Body:
    check_fields("V2beta1Pipeline", question.body)
    namespace = check_namespace(question, question.body.get("namespace", ""))
    name = question.body["display_name"]
    for other in question.world.pipelines.values():
        if (other["namespace"], other["display_name"]) == (namespace, name):
            raise RefusalError(409, f"Already exist error: pipeline {name}")
    body = {**question.body, **question.world.stamp("pipeline"), "name": name}
    question.world.pipelines[body["pipeline_id"]] = body
    return body


def upload_version(question: Question) -> Body:
    world, query = question.world, question.query
    pipeline = find(world.pipelines, query.get("pipelineid", ""), "Pipeline")
    check_namespace(question, pipeline["namespace"])
    names = [
        v.body["name"]
        for v in world.versions.values()
        if v.body["pipeline_id"] == pipeline["pipeline_id"]
    ]
    if query["name"] in names:
        raise RefusalError(409, "Failed to create a pipeline version")
    try:
        return world.add_version(pipeline["pipeline_id"], query["name"], question.upload).render()
    except (yaml.YAMLError, IndexError) as error:
        raise RefusalError(400, f"InvalidInputError: {error}") from error


def list_versions(question: Question) -> Body:
    wanted = question.parts["pipeline_id"]
    items = (
        v.render() for v in question.world.versions.values() if v.body["pipeline_id"] == wanted
    )
    return listed(question, "pipeline_versions", items)


def get_version(question: Question) -> Body:
    version = find(question.world.versions, question.parts["version_id"], "PipelineVersion")
    if version.body["pipeline_id"] != question.parts["pipeline_id"]:
        raise RefusalError(404, "PipelineVersion not found")
    return dict(version.render())


def _check_reference(question: Question) -> None:
    reference = question.body.get("pipeline_version_reference") or {}
    version = find(
        question.world.versions, reference.get("pipeline_version_id", ""), "PipelineVersion"
    )
    inputs = version.pipeline_spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    given = (question.body.get("runtime_config") or {}).get("parameters") or {}
    if unknown := sorted(set(given) - set(inputs)):
        raise RefusalError(400, f"parameter {unknown[0]} is not an input of the pipeline")
    needed = {
        name
        for name, facts in inputs.items()
        if "defaultValue" not in facts and not facts.get("isOptional")
    }
    if missing := sorted(needed - set(given)):
        raise RefusalError(400, f"parameter {missing[0]} is missing")


def create_run(question: Question) -> Body:
    check_fields("V2beta1Run", question.body)
    experiment = find(
        question.world.experiments, question.body.get("experiment_id", ""), "Experiment"
    )
    check_namespace(question, experiment["namespace"])
    _check_reference(question)
    return question.world.add_run(question.body).render()


def list_runs(question: Question) -> Body:
    experiment = find(
        question.world.experiments, question.query.get("experiment_id", ""), "Experiment"
    )
    check_namespace(question, experiment["namespace"])
    wanted = experiment["experiment_id"]
    items = (r.render() for r in question.world.runs.values() if r.body["experiment_id"] == wanted)
    return listed(question, "runs", items)


def get_run(question: Question) -> Body:
    return dict(find(question.world.runs, question.parts["run_id"], "Run").render())


def terminate_run(question: Question) -> Body:
    run = find(question.world.runs, question.parts["run_id"], "Run")
    if run.state not in ("RUNNING", "PENDING", "PAUSED", "CANCELING"):
        raise RefusalError(400, "Failed to terminate a run: it has finished")
    run.terminate()
    return {}


def read_log(question: Question) -> str:
    run = find(question.world.runs, question.parts["run_id"], "Run")
    node = question.parts["node_id"]
    text = run.execution.read_log(node) if run.execution else run.logs.get(node)
    if text is None:
        raise RefusalError(500, "BadRequestError: Failed to read logs for run: pods not found")
    return str(text)


def create_schedule(question: Question) -> Body:
    check_fields("V2beta1RecurringRun", question.body)
    experiment = find(
        question.world.experiments, question.body.get("experiment_id", ""), "Experiment"
    )
    check_namespace(question, experiment["namespace"])
    _check_reference(question)
    cron = question.body["trigger"]["cron_schedule"]["cron"]
    if len(cron.split()) != 6:
        raise RefusalError(400, f"cron {cron!r} does not have six fields")
    stamp = question.world.stamp("recurring_run")
    mode = question.body.get("mode")
    body = {**question.body, **stamp, "namespace": experiment["namespace"]}
    body["status"] = "ENABLED" if mode == "ENABLE" else "DISABLED"
    question.world.schedules[body["recurring_run_id"]] = body
    return body


def list_schedules(question: Question) -> Body:
    namespace = check_namespace(question, question.query.get("namespace", ""))
    items = (s for s in question.world.schedules.values() if s["namespace"] == namespace)
    return listed(question, "recurringRuns", items)


def delete_schedule(question: Question) -> Body:
    find(question.world.schedules, question.parts["schedule_id"], "RecurringRun")
    del question.world.schedules[question.parts["schedule_id"]]
    return {}


def get_health(question: Question) -> Body:
    return {"multi_user": True}


_V2 = "/apis/v2beta1"
ENDPOINTS: tuple[tuple[str, str, Callable[[Question], Body | str]], ...] = (
    ("GET", f"{_V2}/healthz", get_health),
    ("GET", f"{_V2}/experiments", list_experiments),
    ("POST", f"{_V2}/experiments", create_experiment),
    ("GET", f"{_V2}/pipelines/names/(?P<name>[^/]+)", get_pipeline_by_name),
    ("POST", f"{_V2}/pipelines", create_pipeline),
    ("POST", f"{_V2}/pipelines/upload_version", upload_version),
    ("GET", f"{_V2}/pipelines/(?P<pipeline_id>[^/]+)/versions", list_versions),
    ("GET", f"{_V2}/pipelines/(?P<pipeline_id>[^/]+)/versions/(?P<version_id>[^/]+)", get_version),
    ("GET", f"{_V2}/runs", list_runs),
    ("POST", f"{_V2}/runs", create_run),
    ("GET", f"{_V2}/runs/(?P<run_id>[^/:]+)", get_run),
    ("POST", f"{_V2}/runs/(?P<run_id>[^/:]+):terminate", terminate_run),
    ("GET", "/apis/v1alpha1/runs/(?P<run_id>[^/]+)/nodes/(?P<node_id>[^/]+)/log", read_log),
    ("GET", f"{_V2}/recurringruns", list_schedules),
    ("POST", f"{_V2}/recurringruns", create_schedule),
    ("DELETE", f"{_V2}/recurringruns/(?P<schedule_id>[^/]+)", delete_schedule),
)
