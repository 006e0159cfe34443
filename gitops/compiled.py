"""The YAML that a process with a team's code compiled comes in; a pipeline whose every part is known goes out.

The cluster reads this document, so a part that is not understood here is refused: one more spelling
of a field (`single_platform_specs`) must not carry what the checks look for elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops.errors import InputError
from gitops.strict_yaml import parse_yaml

MAX_BYTES = 4 << 20
WHERE = "compiled pipeline"
_ENDS = re.compile(rb"^---[ \t]*\r?$", re.MULTILINE)
_NUMBERED = re.compile(r"(.+)-[0-9]+")

Body = dict[str, Any]

_SPEC = {"components", "deploymentSpec", "pipelineInfo", "root", "schemaVersion", "sdkVersion"}
_COMPONENT = {"executorLabel", "dag", "inputDefinitions", "outputDefinitions"}
_TASK = {
    *("taskInfo", "componentRef", "inputs", "dependentTasks", "cachingOptions", "retryPolicy"),
    *("triggerPolicy", "artifactIterator", "parameterIterator", "iteratorPolicy"),
}
_TIMES = {
    *("resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"),
    "activeDeadlineSeconds",
}
_CONTAINER = {"image", "command", "args", "env", "resources"}
_AMOUNTS = {
    f"{prefix}{kind}{bound}"
    for prefix, kinds in (("", ("cpu", "memory")), ("resource", ("Cpu", "Memory")))
    for kind in kinds
    for bound in ("Limit", "Request")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One use of a component: in which pipeline, its body, and the component's name.

    `pipeline` is the name of the component whose graph the task is part of; empty for the root.
    """

    pipeline: str
    name: str
    body: Body
    component: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPipeline:
    """A pipeline spec and what is attached to its steps for Kubernetes; every part is of a known kind.

    Attributes:
        spec: KFP's pipeline spec.
        attached: what a team's code asks of Kubernetes, by executor label; not judged yet.
        steps: name of each step (its function, in KFP's spelling: `my-fit`) by executor label.
        tasks: every task of every graph.
        times: pipeline-wide durations for Kubernetes (time to live, deadline).
    """

    spec: Body
    attached: Body
    steps: dict[str, str]
    tasks: tuple[Task, ...]
    times: Body

    @property
    def containers(self) -> dict[str, Body]:
        """What runs, by executor label."""
        executors = self.spec["deploymentSpec"]["executors"]
        return {label: executor["container"] for label, executor in executors.items()}

    def step(self, task: Task) -> str:
        """Return the name of the step that a task runs; empty for a nested graph."""
        return self.steps.get(self.spec["components"][task.component].get("executorLabel", ""), "")


def parse_compiled(content: bytes, *, pipeline_root: str = "") -> CompiledPipeline:
    """Parse what `compile` wrote: a pipeline spec, and perhaps a platform spec after it.

    Raises InputError for anything that is not understood, and for a pipeline that names a place for
    its artifacts other than `pipeline_root`.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES:,} bytes", where=WHERE, hint="embed less")
    first, *more = [part for part in _ENDS.split(content) if part.strip()] or [b""]
    if len(more) > 1:
        raise _refuse("more than two documents")
    spec = _check_spec(_parse(first), pipeline_root)
    containers = spec["deploymentSpec"]["executors"]
    attached, times = _check_platform(_parse(more[0]) if more else {})
    if unknown := sorted(set(attached) - set(containers)):
        raise _refuse(f"something is attached to {unknown[0][:60]!r}, which is not a step")
    return CompiledPipeline(
        spec=spec,
        attached=attached,
        steps={label: step_name(label, containers) for label in containers},
        tasks=tuple(_check_tasks(spec)),
        times=times,
    )


def _parse(content: bytes) -> Any:
    value = parse_yaml(content, WHERE, limit=MAX_BYTES).value
    _refuse_odd_scalars(value)
    return value


def _refuse_odd_scalars(value: Any) -> None:
    """Refuse dates and bytes, which YAML has and JSON (so the cluster's reader) has not."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _refuse_odd_scalars(each)
    elif not isinstance(value, str | int | float | None):
        raise _refuse(f"a {type(value).__name__} is not a value of a pipeline")


def _check_spec(value: Any, pipeline_root: str) -> Body:
    spec = checked(value, "the pipeline", _SPEC | {"defaultPipelineRoot"})
    _check_root(spec, pipeline_root)
    components = checked(spec.setdefault("components", {}), "components")
    for name, component in {"": spec.get("root"), **components}.items():
        _check_component(component, _name("component", name))
    executors = _executors(spec.get("deploymentSpec"))
    for label, executor in executors.items():
        _check_executor(executor, _name("step", label))
    for name, component in components.items():
        _check_label(component, executors, _name("component", name))
    return spec


def _name(kind: str, name: str) -> str:
    return f"{kind} {name[:60]!r}"


def _check_root(spec: Body, pipeline_root: str) -> None:
    """Refuse artifacts in another place, and a graph that would pass for the root, whose name is empty."""
    if spec.get("defaultPipelineRoot", pipeline_root) != pipeline_root:
        raise InputError(
            "the pipeline names its own place for artifacts",
            where=WHERE,
            hint="leave pipeline_root out of @dsl.pipeline; set run.pipeline_root in gitops.yaml",
        )
    if "" in checked(spec.get("components", {}), "components"):
        raise _refuse("a component has no name")
    if "dag" not in checked(spec.get("root"), "the root"):
        raise _refuse("the root is not a graph")


def _executors(value: Any) -> Body:
    deployment = checked(value, "deploymentSpec", {"executors"})
    return checked(deployment.get("executors", {}), "executors")


def _check_label(component: Body, executors: Body, where: str) -> None:
    label = component.get("executorLabel")
    if "dag" not in component and (not isinstance(label, str) or label not in executors):
        raise _refuse(f"{where} has nothing to execute")


def _check_component(value: Any, where: str) -> None:
    component = checked(value, where, _COMPONENT)
    if ("dag" in component) == ("executorLabel" in component):
        raise _refuse(f"{where} is neither one step nor a graph")
    if "dag" in component:
        checked(component["dag"], f"{where}.dag", {"tasks", "outputs"})
        checked(component["dag"].get("tasks"), f"{where}.dag.tasks")


def _check_executor(value: Any, where: str) -> None:
    if isinstance(value, dict) and "importer" in value:
        raise InputError(
            f"{where} imports an artifact by its address",
            where=WHERE,
            hint="track the data with DVC and name it in gitops.yaml; then it is part of the fingerprint",
        )
    container = checked(checked(value, where, {"container"}).get("container"), where, _CONTAINER)
    _check_words(container.get("command", []), f"{where}: command")
    _check_words(container.get("args", []), f"{where}: args")
    _check_environment(container.get("env", []), f"{where}: env")
    _check_amounts(container.get("resources", {}), f"{where}: resources")


def _check_words(words: Any, where: str) -> None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _refuse(f"{where} is not a list of words")


def _check_environment(variables: Any, where: str) -> None:
    if not isinstance(variables, list):
        raise _refuse(f"{where} is not a list")
    for variable in variables:
        checked(variable, where, {"name", "value"})


def _check_amounts(value: Any, where: str) -> None:
    amounts = checked(value, where, _AMOUNTS | {"accelerator"})
    accelerator = amounts.get("accelerator", {})
    checked(accelerator, where, {"type", "count", "resourceType", "resourceCount"})


def _check_tasks(spec: Body) -> Iterator[Task]:
    graphs = {"": spec["root"], **spec["components"]}
    for pipeline, component in graphs.items():
        for name, value in component.get("dag", {}).get("tasks", {}).items():
            where = _name("task", name)
            body = checked(value, where, _TASK)
            reference = checked(body.get("componentRef"), where, {"name"}).get("name")
            if not isinstance(reference, str) or reference not in spec["components"]:
                raise _refuse(f"{where} uses a component that is not there")
            _check_task(body, where)
            yield Task(pipeline=pipeline, name=name, body=body, component=reference)


def _check_task(body: Body, where: str) -> None:
    caching = checked(body.get("cachingOptions", {}), where)
    if "cacheKey" in caching:
        raise InputError(
            f"{where} has a cache key of its own, which could bring back another's result",
            where=WHERE,
            hint="leave cache_key out of set_caching_options",
        )
    checked(caching, f"{where}: cachingOptions", {"enableCache"})
    inputs = checked(body.get("inputs", {}), f"{where}: inputs", {"parameters", "artifacts"})
    checked(inputs.get("parameters", {}), f"{where}: inputs")


def _check_platform(value: Any) -> tuple[Body, Body]:
    platforms = checked(
        checked(value, "the platform spec", {"platforms"}).get("platforms", {}),
        "platforms",
        {"kubernetes"},
    )
    kubernetes = checked(
        platforms.get("kubernetes", {}),
        "platforms.kubernetes",
        {"deploymentSpec", "pipelineConfig"},
    )
    attached = _executors(kubernetes.get("deploymentSpec", {}))
    times = checked(kubernetes.get("pipelineConfig", {}), "the pipeline's configuration", _TIMES)
    if not all(str(seconds).isdecimal() for seconds in times.values()):
        raise _refuse("the pipeline's configuration has a time that is no number of seconds")
    return attached, times


def step_name(label: str, executors: Body) -> str:
    """Return which step an executor is: the function that it executes, in KFP's spelling.

    A step that is no Python function has its component's name; a second use of it is numbered.
    """
    args = executors[label]["container"].get("args", [])
    if "--function_to_execute" in args[:-1]:
        return spell(args[args.index("--function_to_execute") + 1])
    numbered = _NUMBERED.fullmatch(label)
    known = numbered[1] if numbered and numbered[1] in executors else label
    return spell(known.removeprefix("exec-"))


def spell(name: str) -> str:
    """Spell a function's name as KFP does in a pipeline: `my_fit` is `my-fit`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def checked(value: Any, where: str, known: set[str] | None = None) -> Body:
    """Return a mapping all of whose keys are known; InputError names the one that is not."""
    if not isinstance(value, dict):
        raise _refuse(f"{where} is not a mapping")
    unknown = sorted(set(value) - known) if known is not None else []
    if unknown:
        raise _refuse(f"{where} asks for {unknown[0][:60]!r}, which is not allowed here")
    return value


def _refuse(what: str) -> InputError:
    return InputError(what, where=WHERE)
