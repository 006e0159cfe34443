"""A checkout in a job of GitLab CI, and what `gitops note` would say from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitops.adapters.ci import MergeRequestJob, read_merge_request_job
from gitops.flow.noting import Message, post_message, read_message
from gitops.flow.planning import find_base, plan_changes
from gitops.flow.workspace import Workspace, open_workspace
from tests.demo.stage import PYTHON
from tests.fake_gitlab.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A checkout of a merge request in a job of GitLab CI."""

    path: Path
    environ: dict[str, str]

    def gitops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (PYTHON, "-m", "gitops", *arguments)
        return subprocess.run(
            command, cwd=self.path, env=self.environ, capture_output=True, text=True, check=False
        )

    def document(self, name: str) -> Path:
        return self.path / ".gitops" / "fuel" / name

    def read(self, name: str) -> Any:
        return json.loads(self.document(name).read_text("utf-8"))

    def change(self, name: str, **facts: object) -> None:
        self.document(name).write_text(json.dumps({**self.read(name), **facts}), "utf-8")

    def open(self) -> Workspace:
        return open_workspace(self.path, self.environ)

    def copy(self, folder: Path) -> Desk:
        shutil.copytree(self.path, folder / "desk", symlinks=True)
        return replace(self, path=folder / "desk")


def make_environ(desk: Desk, stage: Stage) -> dict[str, str]:
    place = {"CI_SERVER_URL": stage.fake.url, "CI_PROJECT_ID": str(stage.place.project["id"])}
    return {**desk.environ, **place}


def make_message(desk: Desk) -> tuple[Workspace, Message]:
    workspace = desk.open()
    plan = plan_changes(workspace, find_base(workspace, desk.environ, None))
    return workspace, read_message(workspace, plan)


def make_job(desk: Desk, stage: Stage, **variables: str) -> MergeRequestJob:
    return read_merge_request_job({**make_environ(desk, stage), **variables})


def post(desk: Desk, stage: Stage, **variables: str) -> Message:
    workspace, message = make_message(desk)
    job = make_job(desk, stage, **variables)
    with stage.connect() as connection:
        post_message(connection, job, workspace, message)
    return message
