"""What should serve, what does, and where it comes from: the commands, as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.adapters.local_server import open_service
from gitops.adapters.local_server.processes import find_processes
from tests.release_kit import (
    git,
    make_environ,
    make_project,
    open_project,
    release_project,
    write_judged,
)
from tests.test_rollout import Made, make_bundle


class Desk:
    """A checkout with a person at it."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.service = checkout / ".gitops" / "serve" / "fuel"

    def gitops(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gitops", "-C", str(self.checkout), *words]
        environ = make_environ(self.checkout.parent / "home")
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    def must(self, *words: str) -> str:
        done = self.gitops(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> tuple[int, Any]:
        done = self.gitops("status", "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)["models"][0]

    def release(self, made: Made, label: str, champion: str = "") -> None:
        """Release a model as the release command does, once its verdict is settled."""
        workspace = open_project(self.checkout)
        release_project(workspace, write_judged(workspace, label, champion, made.folder))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    _, checkout = make_project(tmp_path, "fuel")
    opened = Desk(checkout)
    yield opened
    with open_service(opened.service, "fuel", os.environ) as service:
        service.stop_everything()
    assert not find_processes(f"{opened.service}/")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(folder / "a", -0.01), make_bundle(folder / "b", -0.02)


def test_before_the_first_release_there_is_nothing_to_disagree_about(desk: Desk) -> None:
    assert desk.must("status") == "fuel: no release yet\n"
    code, fuel = desk.status()
    assert (code, fuel["released"], fuel["served"], fuel["agrees"]) == (0, None, None, True)


def test_an_unreleased_model_cannot_be_rolled_out(desk: Desk) -> None:
    done = desk.gitops("rollout", "fuel")
    assert done.returncode == 2
    assert "fuel has no release on main yet" in done.stderr
    assert "hint: run: gitops release fuel" in done.stderr


@pytest.mark.slow
def test_the_life_of_a_served_model(desk: Desk, made: tuple[Made, Made]) -> None:
    first, second = made
    desk.release(first, "a")
    code, fuel = desk.status()
    assert (code, fuel["released"]["tag"], fuel["served"]) == (0, "fuel@v1.0.0", None)

    desk.must("rollout", "fuel")
    code, fuel = desk.status()
    assert (code, fuel["agrees"]) == (0, True)
    assert fuel["served"]["commit"] == fuel["released"]["commit"]
    text = desk.must("status")
    for fact in ("fuel@v1.0.0", "demo/fuel!7", "data/cars.csv " + "a" * 32, "PASS: 1 rule holds"):
        assert fact in text

    desk.release(second, "b", first.digest)
    code, fuel = desk.status()
    assert (code, fuel["served"]["version"]) == (1, "v1.0.0")
    assert fuel["problem"].startswith("serves v1.0.0 of commit")

    desk.must("rollout", "fuel")
    desk.must("rollback", "fuel", "--reason", "Too thirsty")
    code, fuel = desk.status()
    assert (code, fuel["released"]["version"], fuel["served"]["version"]) == (0, "v1.0.0", "v1.0.0")
    origin = desk.checkout.parent / "origin.git"
    assert fuel["served"]["commit"] == git(origin, "rev-parse", "main")
    assert "Too thirsty" in git(origin, "log", "-1", "--format=%B", "main")
    document = json.loads((desk.checkout / ".gitops/fuel/rollout.json").read_text())
    assert document["previous"]["version"] == "v1.1.0"

    for pid in find_processes(f"{desk.service}/"):
        os.kill(pid, 9)
    code, fuel = desk.status()
    assert (code, fuel["served"]) == (4, None)
    assert "does not answer" in fuel["problem"]

    desk.must("rollout", "fuel", "--stop")
    code, fuel = desk.status()
    assert (code, fuel["url"]) == (0, "")
