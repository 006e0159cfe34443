"""A compiled pipeline, its arguments and the cluster's secrets come in; its steps are executed for real.

Each run is a process of its own, `pod.py`, which runs the steps with KFP's own local runner. What it
writes down is shown as the nodes of the Argo workflow that a cluster would have made of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Body = dict[str, Any]
POD = Path(__file__).with_name("pod.py")


def find_secrets(
    platform_spec: Body, secrets: dict[str, dict[str, str]]
) -> dict[str, dict[str, str | None]]:
    """Return the variables that each executor gets from secrets; None for a secret that is missing."""
    kubernetes = platform_spec.get("platforms", {}).get("kubernetes", {})
    executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
    return {
        label: {
            pair["envVar"]: secrets.get(_secret_name(entry), {}).get(pair["secretKey"])
            for entry in config.get("secretAsEnv", [])
            for pair in entry["keyToEnv"]
        }
        for label, config in executors.items()
    }


def _secret_name(entry: Body) -> str:
    if "secretName" in entry:
        return str(entry["secretName"])
    return str(entry["secretNameParameter"]["runtimeValue"]["constant"])


class Execution:
    """One run that executes; its state is what its process says."""

    def __init__(
        self,
        *,
        run_id: str,
        text: str,
        platform_spec: Body,
        arguments: Body,
        secrets: dict[str, dict[str, str]],
        environment: dict[str, str],
        folder: Path,
        skew: timedelta,
    ) -> None:
        self._run_id, self._folder, self._skew = run_id, folder, skew
        self._terminated = False
        (folder / "logs").mkdir(parents=True)
        request = {
            "spec": text,
            "arguments": arguments,
            "secrets": find_secrets(platform_spec, secrets),
            "environment": environment,
        }
        (folder / "request.json").write_text(json.dumps(request), "utf-8")
        with (folder / "run.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(POD), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    @property
    def state(self) -> str:
        code = self._process.poll()
        if code is None:
            return "CANCELING" if self._terminated else "RUNNING"
        if self._terminated:
            return "CANCELED"
        return "SUCCEEDED" if code == 0 else "FAILED"

    def terminate(self) -> None:
        """End every process of the run."""
        if self._process.poll() is None:
            self._terminated = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, seconds: float = 120.0) -> str:
        self._process.wait(seconds)
        return self.state

    def read_log(self, node: str) -> str | None:
        path = self._folder / "logs" / node.removeprefix(f"{self._run_id}-")
        return (
            path.read_text("utf-8", "replace")
            if path.parent.name == "logs" and path.is_file()
            else None
        )

    def read_run_log(self) -> str:
        return (self._folder / "run.log").read_text("utf-8", "replace")

    def render_nodes(self) -> list[Body]:
        """Show the steps so far as the workflow's nodes: driver, step, executor."""
        path = self._folder / "events.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        steps: dict[str, Body] = {}
        for line in lines:
            event = json.loads(line)
            steps.setdefault(event["task"], {"state": "RUNNING"}).update(event)
        drivers = [f"{self._run_id}-{task}-driver" for task in steps]
        nodes = [self._node("root", f"{self._run_id}-root", {"state": self.state}, drivers)]
        for task, step in steps.items():
            nodes += self._render_step(task, step)
        return nodes

    def _render_step(self, task: str, step: Body) -> list[Body]:
        name = f"{self._run_id}-{task}"
        if step["state"] == "RUNNING" and self._process.poll() is not None:
            step = {**step, "state": "FAILED"}
        began = {"state": "SUCCEEDED", "start": step["start"], "end": step["start"]}
        return [
            self._node(f"{task}-driver", f"{name}-driver", began, [f"{name}-dag"]),
            self._node(task, f"{name}-dag", step, [name]),
            self._node("executor", name, step, []),
        ]

    def _node(self, shown: str, name: str, step: Body, children: list[str]) -> Body:
        node = {
            "run_id": self._run_id,
            "task_id": name,
            "display_name": shown,
            "pod_name": name,
            "state": step["state"],
            "child_tasks": [{"pod_name": child} for child in children],
        }
        for key, given in (("create_time", "start"), ("start_time", "start"), ("end_time", "end")):
            if given in step:
                node[key] = self._time(step[given])
        if step.get("error"):
            node["error"] = {"code": 13, "message": step["error"]}
        return node

    def _time(self, seconds: float) -> str:
        return (
            (datetime.fromtimestamp(seconds, UTC) + self._skew).isoformat().replace("+00:00", "Z")
        )
