"""Manifests of served models in a merge request: what a rollout wrote passes, what a person wrote does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitops.change import Kind
from gitops.flow.planning import find_base, plan_changes
from gitops.flow.rollbacks import roll_back
from gitops.flow.rollouts import roll_out
from gitops.flow.workspace import Workspace, open_workspace
from gitops.plan import Plan
from tests.release_kit import (
    MERGE_MESSAGE,
    commit,
    git,
    make_content,
    make_environ,
    make_project,
    release_project,
    write,
    write_judged,
)

SERVED = "kubernetes/served/fuel.yaml"
ADDRESS = "https://gitlab.example.org/team/cars.git"
ROLLOUT = {"engine": "kserve", "mode": "standard", "apply": False}


@dataclass
class Team:
    """A checkout whose origin has an address that pods know; its main has a release that is served."""

    origin: Path
    checkout: Path

    @property
    def environ(self) -> dict[str, str]:
        rewrite = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
        }
        return {**make_environ(self.origin.parent / "home"), **rewrite}

    def git(self, *arguments: str) -> str:
        return git(self.checkout, *arguments)

    def open(self, revision: str = "HEAD") -> Workspace:
        refs = ("+main:refs/remotes/origin/main", "+refs/tags/*:refs/tags/*")
        self.git("fetch", "--quiet", str(self.origin), *refs)
        return open_workspace(self.checkout, self.environ, head=revision)

    def serve(self, label: str, champion: str = "") -> str:
        """Release a bundle and roll it out; return the bundle's digest."""
        self.git("checkout", "--quiet", "--detach", self.open().request.target)
        workspace = self.open()
        self.git("remote", "set-url", "origin", str(self.origin))
        release_project(workspace, write_judged(workspace, label, champion))
        self.git("remote", "set-url", "origin", ADDRESS)
        workspace = self.open()
        release = roll_out(workspace, workspace.model("fuel"), environ=self.environ)
        return release.identity.bundle

    def propose(self, change: Callable[[], object], start: str = "origin/main") -> Plan:
        """Commit a change on a branch of its own, as a merge request does, and plan it."""
        self.open()
        self.git("checkout", "--quiet", "--force", "--detach", start)
        change()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "Change")
        return self.plan("HEAD")

    def plan(self, revision: str, base: str | None = None) -> Plan:
        workspace = self.open(revision)
        found = find_base(workspace, self.environ, base)
        return plan_changes(workspace, found, check_remote=False)

    def write(self, path: str, content: str) -> None:
        write(self.checkout, path, content)

    def read(self) -> str:
        return (self.checkout / SERVED).read_text()

    def configure(self, **rollout: Any) -> None:
        content = {**make_content("fuel"), "rollout": {**ROLLOUT, **rollout}}
        self.write("gitops.yaml", json.dumps(content))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    origin, checkout = make_project(tmp_path_factory.mktemp("served"), "fuel")
    team = Team(origin=origin, checkout=checkout)
    team.configure()
    commit(checkout, MERGE_MESSAGE)
    team.git("remote", "set-url", "origin", ADDRESS)
    team.serve("b", team.serve("a"))
    return team


def refusals(plan: Plan) -> str:
    return " | ".join(f"{each.where}: {each.what}" for each in plan.refusals)


def test_a_manifest_edited_by_hand_is_refused_by_name(team: Team) -> None:
    other = "@" + "0" * 40 + "/"
    plan = team.propose(lambda: team.write(SERVED, team.read().replace("@", other, 1)))
    assert f"{SERVED}: only a rollout writes this file: it is not what serves fuel" in refusals(
        plan
    )
    assert plan.refusals[0].hint.startswith(f"git checkout <target branch> -- {SERVED}")


@pytest.mark.parametrize("how", ["rm", "mv"])
def test_a_manifest_that_is_removed_or_moved_away_by_hand_is_refused(team: Team, how: str) -> None:
    target = ("elsewhere.yaml",) if how == "mv" else ()
    plan = team.propose(lambda: team.git(how, SERVED, *target))
    assert "it is removed by hand, and gitops.yaml still serves fuel" in refusals(plan)


def test_a_manifest_that_became_a_link_is_refused(team: Team) -> None:
    def link() -> None:
        (team.checkout / SERVED).unlink()
        (team.checkout / SERVED).symlink_to("../../evil.yaml")

    assert SERVED in refusals(team.propose(link))


def test_a_merge_request_cannot_make_its_own_manifest_right_by_its_own_settings(team: Team) -> None:
    def change() -> None:
        team.configure(folder="served", runtime="evil")
        team.git("rm", "--quiet", SERVED)
        team.write("served/fuel.yaml", "kind: InferenceService\n")

    assert "served/fuel.yaml: only a rollout writes this file" in refusals(team.propose(change))


def test_the_commits_of_rollouts_pass_also_on_a_branch_that_has_not_seen_the_newest(
    team: Team,
) -> None:
    commits = team.git("log", "--format=%H", "origin/main", "--", SERVED).split()
    assert len(commits) == 2
    for each in commits:
        assert refusals(team.plan(each, f"{each}^")) == ""


def test_a_merge_request_that_merged_main_passes_whatever_its_base_is_said_to_be(
    team: Team,
) -> None:
    first = team.git("log", "--format=%H", "--reverse", "origin/main", "--", SERVED).split()[0]
    team.propose(lambda: team.write("notes.md", "n"), start=f"{first}^")
    team.git("merge", "--quiet", "--no-edit", "origin/main")
    assert refusals(team.plan("HEAD", f"{first}^")) == ""


@pytest.mark.parametrize("change", [{"cpu": "2"}, {"mode": "serverless"}, {"max_replicas": 7}])
def test_who_changes_the_engine_leaves_the_manifest_to_the_rollout(
    team: Team, change: dict[str, object]
) -> None:
    assert refusals(team.propose(lambda: team.configure(**change))) == ""


def test_manifests_move_with_the_folder_that_gitops_yaml_names(team: Team) -> None:
    def move() -> None:
        team.configure(folder="deploy")
        (team.checkout / "deploy").mkdir(exist_ok=True)
        team.git("mv", SERVED, "deploy/fuel.yaml")

    assert refusals(team.propose(move)) == ""


def test_a_manifest_goes_with_its_model(team: Team) -> None:
    def retire() -> None:
        content = json.loads(json.dumps(make_content("fuel")))
        content["models"]["other"] = {
            **content["models"].pop("fuel"),
            "release": {"pointer": "models/other.dvc"},
        }
        team.write("gitops.yaml", json.dumps({**content, "rollout": ROLLOUT}))
        team.git("rm", "--quiet", SERVED)

    assert refusals(team.propose(retire)) == ""


def test_a_model_pointer_that_is_moved_away_is_refused_as_if_deleted(team: Team) -> None:
    def move() -> None:
        team.git("mv", "models/fuel.dvc", "models/old.txt")
        team.git("mv", "models/fuel.release.json", "models/old.json")

    assert "the model pointer of fuel is removed by hand" in refusals(team.propose(move))


def test_what_a_rollout_would_write_for_the_release_at_hand_passes_and_an_older_one_does_not(
    team: Team,
) -> None:
    """A rollback whose rollout was interrupted: the manifest comes by merge request instead."""
    older = team.git("log", "--format=%H", "origin/main", "--", SERVED).split()[1]
    plan = team.propose(lambda: team.git("checkout", older, "--", SERVED))
    assert "it is not what serves fuel" in refusals(plan)

    workspace = team.open()
    model = workspace.model("fuel")
    done = roll_back(workspace, model, to="", reason="drift", environ=team.environ).release

    def change() -> None:
        old = team.git("show", f"{older}:{SERVED}") + "\n"
        commit_before = old.partition("@")[2][:40]
        from_here = old.replace(commit_before, done.commit)
        team.write(SERVED, from_here)

    # Deployments of the Standard mode have a name made of their content, so that this is not enough.
    assert "it is not what serves fuel" in refusals(team.propose(change))

    from gitops.inference import make_origin, render_bytes, render_service

    kserve = team.open().settled.kserve
    assert kserve is not None
    right = render_bytes(render_service(model, kserve, done, make_origin(ADDRESS))).decode()
    assert refusals(team.propose(lambda: team.write(SERVED, right))) == ""


def test_what_lies_beside_the_manifests_is_shown_as_a_control_file(team: Team) -> None:
    """Whoever applies the folder applies this too; it is for reviewers to see."""
    plan = team.propose(lambda: team.write("kubernetes/served/extra.yaml", "kind: Role\n"))
    assert refusals(plan) == ""
    kinds = {change.path: change.kind for change in plan.changes}
    assert kinds["kubernetes/served/extra.yaml"] is Kind.CONTROL
