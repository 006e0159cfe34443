"""A folder comes in; a team's project goes out: its bare repository, a checkout, a GitLab, a runner.

gitlab-ci-local runs every job of `.gitlab-ci.yml` in a shell, each in a copy of the checkout. It
keeps order, artifacts and rules; it knows no images, locks or retries, and ends with 0 whatever a
child pipeline does, so a test reads what it prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gitops.adapters.local_server import open_service
from tests.fake_gitlab import DEVELOPER, FakeGitlab, Place
from tests.repositories import ENVIRONMENT, Repository, make_bare, make_repository

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).resolve().parent / "node_modules" / ".bin"
TOKEN = "glpat-canary/0+N0body~should==see-this"  # of the fake GitLab
IMAGE = "registry.example.com/team/gitops@sha256:" + "0" * 64
PROJECT, IID = "team/fuel", 7
FILES = (".gitlab-ci.yml", "ci", "data", "pipelines", "gitops.yaml", "requirements.lock", ".dvc")
PIPELINES = 40  # numbers that gitlab-ci-local may give to pipelines, from 1000
_ENDED = re.compile(
    r"^ (PASS|FAIL|WARN) +(?:\[[\w-]+\] -> )?(gitops-[a-z]+(?: [a-z-]+)?) *$", re.MULTILINE
)


def find_runner() -> str | None:
    """Return the path of gitlab-ci-local, None where it is not installed."""
    return shutil.which("gitlab-ci-local", path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a pipeline printed; `jobs` are the names of its jobs, its child's too, and how they ended."""

    code: int
    output: str

    @property
    def jobs(self) -> dict[str, str]:
        return {name.strip(): state for state, name in _ENDED.findall(self.output)}


@dataclass(kw_only=True)
class Laboratory:
    """A team's project, and everything that a pipeline of it needs."""

    folder: Path
    fake: FakeGitlab
    desk: Repository
    origin: Repository
    place: Place
    bot: int
    variables: dict[str, object] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Where gitlab-ci-local keeps the copies, artifacts and logs of the jobs."""
        return self.desk.path / ".gitlab-ci-local"

    def open_merge_request(self, branch: str, files: Mapping[str, str], title: str) -> None:
        """Commit and push files on a branch, and open a merge request of it."""
        self.desk.git("checkout", "--quiet", "-b", branch, "main")
        sha = self.desk.commit_files(dict(files), title)
        self.desk.git("push", "--quiet", "origin", f"refs/heads/{branch}")
        self.fake.world.add_merge_request(
            self.place, IID, sha=sha, source_branch=branch, title=title
        )
        for pipeline in self.place.pipelines:
            pipeline["sha"] = sha
        self.variables = {
            "CI_MERGE_REQUEST_ID": "70",
            "CI_MERGE_REQUEST_IID": str(IID),
            "CI_MERGE_REQUEST_PROJECT_ID": str(self.place.project["id"]),
            "CI_MERGE_REQUEST_PROJECT_PATH": PROJECT,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": _quoted(branch),
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_MERGE_REQUEST_TITLE": _quoted(title),
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": self.desk.git("merge-base", "main", "HEAD"),
        }

    def merge(self, branch: str) -> None:
        """Merge the merge request as GitLab does."""
        self.desk.git("checkout", "--quiet", "main")
        message = f"Merge branch into 'main'\n\nSee merge request {PROJECT}!{IID}"
        self.desk.git("merge", "--quiet", "--no-ff", branch, f"--message={message}")
        self.desk.git("push", "--quiet", "origin", "main")
        self.variables = {"CI_COMMIT_REF_PROTECTED": "true"}

    def run_merge_request(self) -> Pipeline:
        return self._run("merge_request_event", "--unset-variable", "CI_COMMIT_BRANCH")

    def run_main(self) -> Pipeline:
        return self._run("push")

    def _run(self, source: str, *options: str) -> Pipeline:
        runner = find_runner()
        assert runner is not None
        self._write_variables()
        command = (
            runner, "--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source",
            "--no-color", "--variable", f"CI_PIPELINE_SOURCE={source}", *options,
        )  # fmt: skip
        done = subprocess.run(
            command,
            cwd=self.desk.path,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        return Pipeline(code=done.returncode, output=done.stdout)

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of the runner: nothing of this machine but where programs are."""
        programs = (str(Path(sys.executable).parent), str(TOOLS), os.environ["PATH"])
        return {
            **ENVIRONMENT,
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.folder / "home"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / "home" / "dvc"),
        }

    def _write_variables(self) -> None:
        """Set what GitLab would; the token is limited to its environment, as in a real project."""
        everywhere = {
            "GITLAB_CI": "true",
            "GITOPS_IMAGE": IMAGE,
            "CI_SERVER_URL": self.fake.url,
            "CI_PROJECT_ID": str(self.place.project["id"]),
            "CI_PROJECT_PATH": PROJECT,
            "CI_DEFAULT_BRANCH": "main",
            **self.variables,
        }
        token = {"type": "variable", "values": {"gitops/review": TOKEN}}
        body = {"global": {**everywhere, "GITOPS_GITLAB_TOKEN": token}}
        place = self.folder / "home" / ".gitlab-ci-local" / "variables.yml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump(body), "utf-8")

    def read_artifact(self, job: str, path: str) -> Path:
        """Return a file that a job left; its folder's name is the job's, encoded."""
        found = [place / path for place in self.state.glob(f"artifacts/{job}*")]
        assert len(found) == 1, found
        return found[0]

    def stop_servers(self) -> None:
        """Stop what rollouts started."""
        for place in self.state.glob("builds/*/.gitops/serve/*"):
            with open_service(place, place.name, {}) as service:
                service.stop_everything()


def _quoted(text: str) -> str:
    """Keep the runner itself from expanding what is data here, as GitLab does for these variables."""
    return text.replace("$", "$$")


def make_laboratory(folder: Path, fake: FakeGitlab) -> Laboratory:
    """Make the project from this repository's own files, with its data remote beside it."""
    desk = make_repository(folder / "desk")
    for name in FILES:
        source, target = ROOT / name, desk.path / name
        ignored = shutil.ignore_patterns("remote", "cache", "tmp", "*.csv", "__pycache__")
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copyfile(source, target)
    shutil.copytree(ROOT / "data" / "remote", folder / "remote")
    desk.write(".dvc/config", _render_dvc_config(folder / "remote"))
    desk.write(".gitignore", "/.gitops/\n/.gitlab-ci-local/\n")
    desk.commit("What this repository is")
    origin = make_bare(folder / "origin.git", desk)
    desk.git("remote", "add", "origin", str(origin.path))
    desk.git("fetch", "--quiet", "origin")
    # gitlab-ci-local wants an address like a GitLab's; nothing is ever fetched from there.
    desk.git("remote", "add", "gcl-origin", f"https://gitlab.example/{PROJECT}.git")
    world = fake.world
    bot = world.add_user("project_1_bot")
    world.add_token(TOKEN, bot)
    place = world.add_project(PROJECT)
    place.members[bot] = DEVELOPER
    for number in range(1000, 1000 + PIPELINES):
        world.add_pipeline(place, id=number, source="merge_request_event")
    return Laboratory(folder=folder, fake=fake, desk=desk, origin=origin, place=place, bot=bot)


def _render_dvc_config(remote: Path) -> str:
    return f"[core]\n    analytics = false\n    remote = sample\n['remote \"sample\"']\n    url = {remote}\n"
