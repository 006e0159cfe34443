"""What a Kubeflow Pipelines server keeps: experiments, pipelines, versions, runs and recurring runs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from tests.fake_kubeflow.execution import Execution

Body = dict[str, Any]


class Mode(StrEnum):
    """What happens to a run that is created."""

    EXECUTE = "execute"  # its steps are executed
    HOLD = "hold"  # it stays RUNNING until a test says otherwise
    SUCCEED = "succeed"  # it has succeeded at once


@dataclass(kw_only=True)
class Version:
    body: Body
    pipeline_spec: Body
    platform_spec: Body
    text: str

    def render(self) -> Body:
        """Show a version as the server does: numbers are doubles, the platform beside the pipeline."""
        spec: Body = self.pipeline_spec
        if self.platform_spec:
            spec = {"pipeline_spec": spec, "platform_spec": self.platform_spec}
        return {**self.body, "pipeline_spec": as_struct(spec)}


@dataclass(kw_only=True)
class Run:
    body: Body
    execution: Execution | None = None
    nodes: list[Body] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return str(self.render()["state"])

    def render(self) -> Body:
        if self.execution is not None:
            self.body["state"] = self.execution.state
            self.nodes = self.execution.render_nodes()
        details = {"run_details": {"task_details": self.nodes}} if self.nodes else {}
        return {**self.body, **details}

    def terminate(self) -> None:
        if self.execution is not None:
            self.execution.terminate()
        elif self.body["state"] in ("RUNNING", "PENDING", "PAUSED"):
            self.body["state"] = "CANCELED"


@dataclass(kw_only=True)
class World:
    """Everything that the server keeps.

    Attributes:
        namespaces: those that exist.
        tokens: namespaces that each token may use.
        secrets: Kubernetes secrets of all namespaces, by name.
        environment: what each pod has besides its secrets.
        folder: where runs are executed.
        skew: how far the server's clock is ahead.
    """

    folder: Path
    namespaces: set[str] = field(default_factory=lambda: {"team-a"})
    tokens: dict[str, set[str]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    mode: Mode = Mode.EXECUTE
    skew: timedelta = timedelta()
    experiments: dict[str, Body] = field(default_factory=dict)
    pipelines: dict[str, Body] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    schedules: dict[str, Body] = field(default_factory=dict)

    def now(self) -> str:
        return (datetime.now(UTC) + self.skew).strftime("%Y-%m-%dT%H:%M:%SZ")

    def stamp(self, kind: str) -> Body:
        return {f"{kind}_id": str(uuid.uuid4()), "created_at": self.now()}

    def add_version(self, pipeline_id: str, name: str, text: str) -> Version:
        documents = [each for each in yaml.safe_load_all(text) if each]
        body = {
            **self.stamp("pipeline_version"),
            "pipeline_id": pipeline_id,
            "display_name": name,
            "name": name,
        }
        version = Version(
            body=body,
            pipeline_spec=documents[0],
            platform_spec=documents[1] if len(documents) > 1 else {},
            text=text,
        )
        self.versions[body["pipeline_version_id"]] = version
        return version

    def add_run(self, given: Body) -> Run:
        body = {
            **given,
            **self.stamp("run"),
            "state": "SUCCEEDED" if self.mode is Mode.SUCCEED else "RUNNING",
            "storage_state": "AVAILABLE",
        }
        run = Run(body=body)
        self.runs[body["run_id"]] = run
        if self.mode is Mode.EXECUTE:
            version = self.versions[given["pipeline_version_reference"]["pipeline_version_id"]]
            run.execution = Execution(
                run_id=body["run_id"],
                text=version.text,
                platform_spec=version.platform_spec,
                arguments=given.get("runtime_config", {}).get("parameters", {}),
                secrets=self.secrets,
                environment=self.environment,
                folder=self.folder / body["run_id"],
                skew=self.skew,
            )
        return run


def as_struct(value: Any) -> Any:
    """Return a value as it comes back through a protobuf Struct."""
    if isinstance(value, dict):
        return {key: as_struct(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_struct(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
