"""`gitops doctor` as a person runs it: in a real repository, before a GitLab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fake_gitlab import MAINTAINER, FaultKind
from tests.fake_gitlab.stage import TOKEN, Stage, open_stage
from tests.test_pre_push import CARS, Desk, md5

DIGEST = "@sha256:" + "a" * 64


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        opened.place.members[opened.bot] = MAINTAINER
        opened.place.protected_branches.append(
            {
                "id": 1,
                "name": "main",
                "allow_force_push": False,
                "push_access_levels": [{"access_level": 0, "user_id": None, "group_id": None}],
                "merge_access_levels": [{"access_level": 40, "user_id": None, "group_id": None}],
            }
        )
        group = {"id": 1, "key": "production", "process_mode": "oldest_first"}
        opened.place.resource_groups.append(group)
        yield opened


class Office:
    """A desk whose repository has everything, and `gitops doctor` at it."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.repository = self.desk.repository
        self.repository.commit_files({".gitlab-ci.yml": f"a:\n  image: python{DIGEST}\n"}, "CI")

    def merge(self) -> None:
        self.repository.git("push", "--quiet", "origin", "HEAD:main")

    def doctor(self, *words: str, **environ: str) -> tuple[int, dict[str, str], str]:
        """Return the exit code, the level of each check that is not well, and all that was said."""
        done = subprocess.run(
            [sys.executable, "-m", "gitops", "doctor", "--json", *words],
            cwd=self.repository.path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "PYTHONPATH": str(Path(__file__).parent.parent),
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout, done.stderr
        checks = json.loads(done.stdout)["checks"]
        found = {one["name"]: one["level"] for one in checks if one["level"] != "ok"}
        return done.returncode, found, done.stdout + done.stderr


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def ask_gitlab(office: Office, stage: Stage, **environ: str) -> tuple[int, dict[str, str], str]:
    own = {"CI_SERVER_URL": stage.fake.url, "GITOPS_GITLAB_TOKEN": TOKEN}
    return office.doctor("--project", "team/cars", **{**own, **environ})


def test_when_all_is_well_the_exit_code_is_zero(office: Office, stage: Stage) -> None:
    code, found, said = ask_gitlab(office, stage)
    assert (code, found) == (0, {})
    assert TOKEN not in said
    assert stage.written == []


def test_without_a_token_the_other_half_is_not_done(office: Office) -> None:
    code, found, said = office.doctor()
    assert (code, found) == (2, {"gitlab": "unknown"})
    assert "not asked: GITOPS_GITLAB_TOKEN is not set" in said


def test_the_token_goes_nowhere_that_was_not_named(office: Office, stage: Stage) -> None:
    """The clone's own remote may be anybody's server."""
    office.repository.git("remote", "set-url", "origin", f"{stage.fake.url}/team/cars.git")
    code, found, _ = office.doctor(GITOPS_GITLAB_TOKEN=TOKEN)
    assert (code, found) == (2, {"gitlab": "unknown"})
    assert stage.fake.record.calls == []


@pytest.mark.parametrize("fault", [FaultKind.BROKEN, FaultKind.PAGE])
def test_a_silent_gitlab_is_worth_a_retry(office: Office, stage: Stage, fault: FaultKind) -> None:
    stage.fake.fail(fault, match="^GET ", times=99)
    code, found, said = ask_gitlab(office, stage)
    assert (code, found) == (4, {"gitlab": "unknown"})
    assert TOKEN not in said


def test_what_the_token_may_not_see_is_unknown(office: Office, stage: Stage) -> None:
    stage.place.members[stage.bot] = 20
    code, found, _ = ask_gitlab(office, stage)
    assert code == 2
    assert found["variables"] == "unknown"


def test_a_careless_project_is_told_what_to_change(office: Office, stage: Stage) -> None:
    stage.place.protected_branches.clear()
    stage.place.project["ci_allow_fork_pipelines_to_run_in_parent_project"] = True
    code, found, said = ask_gitlab(office, stage)
    assert (code, found) == (2, {"protected-branch": "fail", "fork-pipelines": "fail"})
    assert "Protected branches: main" in said


Spoil = Callable[[Office], object]


def write(path: str, text: str) -> Spoil:
    return lambda office: office.repository.commit_files({path: text})


def lose_data(office: Office) -> None:
    name = md5(CARS)
    (office.desk.store / "files" / "md5" / name[:2] / name[2:]).unlink()


def override(office: Office) -> None:
    office.repository.write(".git/info/exclude", ".dvc/config.local\n")
    office.repository.write(".dvc/config.local", "['remote \"r\"']\nurl = /elsewhere\n")


def spoil_target(office: Office) -> None:
    office.repository.commit_files({"gitops.yaml": "version: 1\n"})
    office.merge()
    office.repository.git("revert", "--no-edit", "HEAD")


@pytest.mark.parametrize(
    ("spoil", "name", "level", "why"),
    [
        (write("gitops.yaml", "version: 1\n"), "config", "fail", "missing 'models'"),
        (spoil_target, "target-config", "fail", "main: gitops.yaml"),
        (lose_data, "data-remote", "fail", "lacks data/cars.csv"),
        (override, "data-config", "warn", "remote r: url"),
        (write(".dvc/config.local", "[core]\n"), "data-config", "fail", "carries"),
        (write(".dvc/config", "[core]\n"), "data-config", "warn", "not the target branch's"),
        (write(".gitlab-ci.yml", "a: {image: x}\n"), "images", "warn", "x (.gitlab-ci.yml:1)"),
        (
            write(".gitlab-ci.yml", "include: {project: a/b, file: c}\n"),
            "includes",
            "warn",
            "a/b (.gitlab-ci.yml:1)",
        ),
        (write(".gitlab-ci.yml", "include: ci/*.yml\n"), "images", "warn", "no CI file names"),
        (write(".gitlab-ci.yml", "include: absent.yml\n"), "images", "unknown", "no such file"),
        (write(".gitlab-ci.yml", "include: $X.yml\n"), "includes", "unknown", "a variable hides"),
    ],
)
def test_each_weakness_of_a_repository_is_named(
    office: Office, spoil: Spoil, name: str, level: str, why: str
) -> None:
    spoil(office)
    code, found, said = office.doctor()
    assert code == 2
    assert found[name] == level
    assert why in said


def test_an_image_of_an_included_file_counts(office: Office) -> None:
    office.repository.commit_files(
        {".gitlab-ci.yml": "include: [ci/*.yml]\n", "ci/a.yml": "a: {image: python:3}\n"}
    )
    _, found, said = office.doctor()
    assert found["images"] == "warn"
    assert "python:3 (ci/a.yml:1)" in said


def test_for_people_each_check_is_a_line_and_each_next_step_another(office: Office) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gitops", "-C", str(office.repository.path), "doctor"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ok      config            gitops.yaml is valid on this commit" in done.stdout
    assert "unknown gitlab            not asked: GITOPS_GITLAB_TOKEN is not set" in done.stdout
    assert "next: set GITOPS_GITLAB_TOKEN" in done.stdout
