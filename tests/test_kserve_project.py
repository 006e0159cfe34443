"""A repository whose models a cluster serves: the same commands as on one machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitops.commands.rollout import render_rollout
from gitops.commands.status import exit_code, render_standing
from gitops.errors import ExitCode, InputError
from gitops.flow.releasing import release_model
from gitops.flow.rollbacks import finish_rollback, roll_back
from gitops.flow.rollouts import Expected, roll_out, write_rollout
from gitops.flow.standing import Standing, read_standing
from gitops.flow.workspace import Workspace
from gitops.release import Release
from gitops.rollout import Rollout
from tests.cluster_kit import Made, Place, make_bundle, open_place
from tests.release_kit import (
    MERGE_MESSAGE,
    TODAY,
    commit,
    git,
    make_content,
    make_environ,
    make_project,
    open_project,
    write,
    write_judged,
)

ADDRESS = "https://gitlab.example.org/team/cars.git"


@dataclass
class Project:
    """A checkout whose remote has an address that pods know, and the cluster that serves from it."""

    origin: Path
    checkout: Path
    place: Place

    @property
    def environ(self) -> dict[str, str]:
        rewrite = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }
        home = make_environ(self.origin.parent / "home")
        return {**home, **rewrite, "KUBECONFIG": str(self.place.kubeconfig)}

    def open(self) -> Workspace:
        git(self.checkout, "fetch", "--quiet", str(self.origin), "+main:refs/remotes/origin/main")
        return open_project(self.checkout)

    def release(self, label: str, made: Made, champion: str = "") -> Release:
        workspace = self.open()
        verdict = write_judged(workspace, label, champion, made.folder)
        release = release_model(
            workspace,
            workspace.model("fuel"),
            verdict=verdict,
            bundle=workspace.store.place("bundles", verdict.candidate),
            environ=self.environ,
            today=TODAY,
        )
        self.place.pods.add(release, made)
        return release

    def roll_out(self, expected: Expected | None) -> Rollout:
        workspace = self.open()
        rollout = roll_out(
            workspace, workspace.model("fuel"), environ=self.environ, expected=expected
        )
        write_rollout(workspace, rollout)
        return rollout

    def status(self) -> Standing:
        workspace = self.open()
        return read_standing(workspace, workspace.model("fuel"), self.environ)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    with open_place(folder / "place") as place:
        origin, checkout = make_project(folder, "fuel")
        content = make_content("fuel")
        rollout = {"engine": "kserve", "mode": "standard", "gateway": place.gateway}
        content["rollout"] = {**rollout, "ready_minutes": 0.5, "check": {"requests": 20}}
        content["models"]["fuel"]["serve"] = {"namespace": "models"}  # type: ignore[index] # a mapping
        write(checkout, "gitops.yaml", json.dumps(content))
        commit(checkout, MERGE_MESSAGE)
        git(checkout, "remote", "set-url", "origin", ADDRESS)
        yield Project(origin=origin, checkout=checkout, place=place)


@pytest.mark.slow
def test_release_rollout_status_and_rollback_on_a_cluster(project: Project, tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "a", -0.01), make_bundle(tmp_path / "b", -0.02)
    first = project.release("a", made[0])
    assert "not applied yet" in render_standing(project.status())
    rollout = project.roll_out(made[0].expected)
    assert rollout.changed
    assert "30 held-out rows predicted as judged" in render_rollout(rollout)
    standing = project.status()
    assert standing.served == rollout.identity
    assert exit_code([standing]) == ExitCode.DONE

    project.release("b", made[1], first.manifest.bundle)
    standing = project.status()
    assert "serves v1.0.0 of commit" in standing.problem
    assert exit_code([standing]) == ExitCode.GATE_SAID_NO
    rollout = project.roll_out(made[1].expected)
    assert [step.percent for step in rollout.steps] == [10, 50, 100]
    document = json.loads((project.checkout / ".gitops/fuel/rollout.json").read_text())
    assert (document["engine"], document["port"], document["applied"]) == ("kserve", None, True)
    assert document["previous"]["version"] == "v1.0.0"
    path = "kubernetes/served/fuel.yaml"
    assert rollout.identity.commit in git(project.origin, "show", f"main:{path}")

    workspace = project.open()
    model = workspace.model("fuel")
    done = roll_back(workspace, model, to="", reason="drift", environ=project.environ)
    project.place.pods.add(done.release, made[0])
    rollout = project.roll_out(made[0].expected)
    finish_rollback(workspace, model)
    assert (rollout.identity.version, rollout.identity.commit) == ("v1.0.0", done.release.commit)
    standing = project.status()
    assert standing.served == rollout.identity
    assert standing.problem == ""

    project.place.fake.faults.unauthorized = True
    standing = project.status()
    project.place.fake.faults.unauthorized = False
    assert exit_code([standing]) == ExitCode.OUTSIDE_WORLD
    assert "401" in standing.problem


def test_a_cluster_is_not_stopped_by_a_command(project: Project) -> None:
    from gitops.commands.rollout import _stop

    workspace = project.open()
    with pytest.raises(InputError, match="which --stop does not touch") as error:
        _stop(workspace, workspace.model("fuel"))
    assert "kubectl -n models delete inferenceservice fuel" in error.value.hint
