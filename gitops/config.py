"""The validated content of gitops.yaml comes in; a frozen `Config` with its models and policies goes out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from gitops.digest import make_digest
from gitops.engines import Kserve, Kubeflow, engine_problems, make_kserve, make_kubeflow
from gitops.errors import InputError
from gitops.policy import Policy, make_policy

CONFIG_PATH = "gitops.yaml"
DEFAULT_MISSING = ("", "?", "NA", "NaN", "nan", "null")


class Zone(StrEnum):
    """Who wrote a result: a person's machine, unmerged code in CI, the gate beside it, a protected branch."""

    LOCAL = "local"
    UNTRUSTED = "untrusted"
    JUDGED = "judged"
    PROTECTED = "protected"


class Task(StrEnum):
    """What a model predicts: a number, one of two classes, or one of several."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"


class Promote(StrEnum):
    """What goes to production: the very bytes that were judged, or a fresh run of the same inputs."""

    GATED = "gated"
    REBUILT = "rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """How rows are set aside: a share of all rows, chosen by a hash of the key columns.

    An empty key means all columns but the target.
    """

    fraction: float = 0.3
    key: tuple[str, ...] = ()
    salt: str = ""

    @property
    def digest(self) -> str:
        """Return a digest of the definition: equal digests put a row on the same side."""
        return make_digest(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Where the model answers; port 0 means any free port, chosen once."""

    name: str
    namespace: str = "default"
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One model of the repository; paths are relative to its root.

    `positive` is the class that binary metrics look for, as text; empty means the greater of the two.
    """

    name: str
    data: str
    target: str
    task: Task
    positive: str
    pipeline_file: str
    pipeline_function: str
    params: str | None
    sources: tuple[str, ...]
    missing: tuple[str, ...]
    holdout: Holdout
    policy: Policy
    pointer: str
    serve: Serve

    @property
    def manifest(self) -> str:
        """Return the path of the release manifest, which lies beside the pointer."""
        return self.pointer.removesuffix(".dvc") + ".release.json"

    @property
    def waivers(self) -> str:
        """Return the path of the folder of waivers, which lies beside the pointer."""
        return self.pointer.removesuffix(".dvc") + ".waivers"

    @property
    def definition(self) -> dict[str, Any]:
        """Return what gitops.yaml itself contributes to a result; policy and serving do not."""
        return {
            "data": self.data,
            "target": self.target,
            "task": str(self.task),
            "pipeline": f"{self.pipeline_file}:{self.pipeline_function}",
            "params": self.params,
            "sources": sorted(self.sources),
            "missing": sorted(self.missing),
            "holdout": asdict(self.holdout),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole gitops.yaml; None for `kubeflow` or `kserve` means the local engine."""

    version: int
    store: str
    target_branch: str
    remote: str | None
    lock: str | None
    promote: Promote | None
    experimental: str | None
    production: str | None
    kubeflow: Kubeflow | None
    kserve: Kserve | None
    models: tuple[ModelConfig, ...]

    def model(self, name: str) -> ModelConfig:
        """Return the model of that name; raise InputError with the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise InputError(f"there is no model {name!r}", where=CONFIG_PATH, hint=f"models: {known}")


def make_config(content: Mapping[str, Any]) -> Config:
    """Build the config from content that its JSON Schema accepts.

    Raises InputError, naming every path that leaves the repository or is used twice.
    """
    pipelines = content.get("pipelines", {})
    config = Config(
        version=content["version"],
        store=content.get("store", ".gitops/store"),
        target_branch=content.get("target_branch", "main"),
        remote=content.get("remote"),
        lock=content.get("lock"),
        promote=Promote(content["promote"]) if "promote" in content else None,
        experimental=pipelines.get("experimental"),
        production=pipelines.get("production"),
        kubeflow=make_kubeflow(content.get("run", {})),
        kserve=make_kserve(content.get("rollout", {})),
        models=tuple(_make_model(name, body) for name, body in content["models"].items()),
    )
    names = tuple(model.name for model in config.models)
    problems = [
        *_path_problems(config),
        *_sharing_problems(config),
        *_output_problems(config),
        *_metric_problems(config),
        *engine_problems(config.kubeflow, config.kserve, config.store, names),
    ]
    if problems:
        raise InputError("; ".join(problems), where=CONFIG_PATH)
    return config


def _make_model(name: str, body: Mapping[str, Any]) -> ModelConfig:
    file, _, function = body["pipeline"].rpartition(":")
    folder = str(PurePosixPath(file).parent)
    return ModelConfig(
        name=name,
        data=body["data"],
        target=body["target"],
        task=Task(body.get("task", "regression")),
        positive=str(body.get("positive", "")),
        pipeline_file=file,
        pipeline_function=function,
        params=body.get("params"),
        sources=tuple(body.get("sources", [folder if folder != "." else file])),
        missing=tuple(body.get("missing", DEFAULT_MISSING)),
        holdout=_make_holdout(body.get("holdout", {})),
        policy=make_policy(body["gate"]),
        pointer=body.get("release", {}).get("pointer", f"data/models/{name}.dvc"),
        serve=_make_serve(name, body.get("serve", {})),
    )


def _make_holdout(body: Mapping[str, Any]) -> Holdout:
    return Holdout(
        fraction=float(body.get("fraction", 0.3)),
        key=tuple(body.get("key", ())),
        salt=body.get("salt", ""),
    )


def _make_serve(name: str, body: Mapping[str, Any]) -> Serve:
    return Serve(
        name=body.get("name", name),
        namespace=body.get("namespace", "default"),
        port=body.get("port", 0),
    )


def _path_problems(config: Config) -> list[str]:
    problems = []
    for model in config.models:
        named = {"data": model.data, "pipeline": model.pipeline_file, "params": model.params}
        listed = {f"sources[{i}]": path for i, path in enumerate(model.sources)}
        for key, path in {**named, **listed, "release.pointer": model.pointer}.items():
            if path is not None and not is_inside(path):
                problems.append(f"models.{model.name}.{key}: {path!r} must stay in the repository")
    return problems


def is_inside(path: str) -> bool:
    """Tell whether a path is relative, plain, and stays below the repository's root."""
    parts = path.split("/")
    plain = path.isprintable() and "\\" not in path and not path.startswith("-")
    return plain and not {"", ".", "..", ".git", ".dvc"} & set(parts)


METRICS = {
    Task.REGRESSION: ("rmse", "mae", "medae", "r2", "mape"),
    Task.BINARY: (
        *("accuracy", "balanced_accuracy", "precision", "recall", "f1"),
        *("roc_auc", "pr_auc", "log_loss", "brier"),
    ),
    Task.MULTICLASS: ("accuracy", "balanced_accuracy", "f1", "log_loss", "brier"),
}


def _metric_problems(config: Config) -> list[str]:
    """A metric is built in for the model's task, or brings its function and its direction."""
    problems = []
    for model in config.models:
        for rule in model.policy.metrics:
            place = f"models.{model.name}.gate.metrics.{rule.metric}"
            if rule.metric in METRICS[model.task]:
                if rule.function is not None:
                    problems.append(f"{place}: is built in and takes no function")
            elif rule.function is None or rule.direction is None:
                problems.append(f"{place}: {_explain_unknown(rule.metric, model.task)}")
    return problems


def _explain_unknown(metric: str, task: Task) -> str:
    known = METRICS[task]
    close = difflib.get_close_matches(metric, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"{guess}the metrics of a {task} task are {', '.join(known)}; a custom one needs "
        "`function: file.py:name` and `direction: higher` or `lower`"
    )


def _sharing_problems(config: Config) -> list[str]:
    """A pointer or an endpoint that two models write would make each undo the other."""
    problems = []
    for key, values in (
        ("release.pointer", [model.pointer for model in config.models]),
        ("serve.name", [model.serve.name for model in config.models]),
    ):
        problems += [f"{key}: two models share {value!r}" for value in _repeated(values)]
    return problems


def _output_problems(config: Config) -> list[str]:
    """What the flow itself commits must be nobody's source: each release would ask for another one."""
    return [
        *_folder_problems(config.kserve),
        *(
            f"{key}: {path!r} lies in {source!r}, a source of {name}: each release would change what "
            "it was made of, and so ask for the next one"
            for key, path in _list_outputs(config)
            for name, source in _list_sources(config)
            if path == source or path.startswith(source.rstrip("/") + "/")
        ),
    ]


def _folder_problems(kserve: Kserve | None) -> list[str]:
    if kserve is None or is_inside(kserve.folder.rstrip("/")):
        return []
    return [f"rollout.folder: {kserve.folder!r} must be a plain folder of the repository"]


def _list_sources(config: Config) -> list[tuple[str, str]]:
    return [(m.name, source) for m in config.models for source in (m.pipeline_file, *m.sources)]


def _list_outputs(config: Config) -> list[tuple[str, str]]:
    pointers = [(f"models.{m.name}.release.pointer", m.pointer) for m in config.models]
    if config.kserve is None:
        return pointers
    folder = config.kserve.folder.rstrip("/")
    return [
        *pointers,
        *(("rollout.folder", f"{folder}/{m.serve.name}.yaml") for m in config.models),
    ]


def _repeated(values: Sequence[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})
