"""A team's repository on a Git server, its data and results on S3, Kubeflow and a KServe cluster, all on 127.0.0.1.

What runs is real: git, DVC, the compiled pipeline's steps, the servers. The job of a CI pipeline is a
process with the job's variables; each pod has the environment that gitops.yaml grants its step.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fake_kubeflow import FakeKubeflow, serve_fake_kubeflow
from tests.fake_kubernetes import FakeCluster, serve_kubernetes
from tests.git_server import GitServer, serve_git
from tests.repositories import ENVIRONMENT, Repository, make_bare, make_repository
from tests.s3_place import S3Place, serve_s3

ROOT = Path(__file__).parent.parent
GIT_TOKEN = "glpat-whole-way-token"
IMAGE = "registry.example.org/gitops@sha256:" + "7" * 64

CONFIG = """\
version: 1
store: s3://{bucket}/store
{engines}
models:
  fuel:
    data: data/auto-mpg.csv
    target: mpg
    pipeline: pipelines/fuel/pipeline.py:train
    params: pipelines/fuel/params.yaml
    holdout: {{fraction: 0.3, key: [name, year, wght]}}
    gate:
      metrics:
        rmse: {{max: 4.5, max_regression: 2%}}
        r2: {{min: 0.7}}
    release: {{pointer: data/models/fuel.dvc}}
    serve: {{name: fuel, namespace: models}}
"""
ENGINES = """\
run:
  engine: kubeflow
  host: {kubeflow}
  namespace: gitops-experiments
  production_namespace: gitops-production
  image: {image}
  deadline_minutes: 10
  steps:
    prepare: {{secrets: {{gitops-read: {read}}}}}
    fit: {{cpu: 500m, memory: 1Gi}}
    score: {{secrets: {{gitops-read: {read}}}}}
    recall: {{secrets: {{gitops-read: {read}}}}}
    judge: {{secrets: {{gitops-read: {read}}}}}
    release: {{secrets: {{gitops-release: {read}}}}}
    rollout: {{secrets: {{gitops-rollout: {rollout}}}}}
    produce: {{secrets: {{gitops-rollout: {rollout}, gitops-kfp: {{token: GITOPS_KFP_TOKEN}}}}}}
  schedules:
    weekly: {{model: fuel, cron: "0 0 3 * * 1"}}
rollout:
  engine: kserve
  mode: {mode}
  gateway: {gateway}
  check: {{requests: 20, max_latency_ratio: 50}}
  ready_minutes: 2
"""
READ = "{token: GITOPS_GIT_TOKEN, key: AWS_ACCESS_KEY_ID, secret: AWS_SECRET_ACCESS_KEY}"
ROLLOUT = READ[:-1] + ", kube: GITOPS_KUBE_TOKEN}"
DVC_CONFIG = """\
[core]
    remote = team
['remote "team"']
    url = s3://{bucket}/dvc
    endpointurl = {url}
"""


@dataclass
class World:
    """Everything that a whole way needs; `jobs` remembers what each job printed."""

    folder: Path
    work: Repository
    git: GitServer
    s3: S3Place
    kubeflow: FakeKubeflow
    cluster: FakeCluster
    jobs: list[subprocess.CompletedProcess[str]] = field(default_factory=list)
    builds: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.git.port}/team/cars.git"

    @property
    def bare(self) -> Repository:
        return Repository(self.git.root / "team" / "cars.git")

    def job_environ(self, **variables: str) -> dict[str, str]:
        """Return the variables of a CI job on the protected target branch."""
        return {
            **{key: ENVIRONMENT[key] for key in ("PATH", "GIT_CONFIG_NOSYSTEM")},
            **{key: value for key, value in ENVIRONMENT.items() if "COMMITTER" in key},
            "HOME": str(self.folder / "home"),
            "GITLAB_CI": "true",
            "NO_COLOR": "1",
            "CI_COMMIT_REF_PROTECTED": "true",
            "CI_PIPELINE_SOURCE": "push",
            "GITOPS_KFP_TOKEN": self.kubeflow.token,
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            **self.s3.environ,
            **variables,
        }

    def job(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `gitops` as a job would: in a fresh clone, with the token in the remote's address."""
        process = self.start_job(*arguments, **variables)
        output, errors = process.communicate()
        done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
        self.jobs.append(done)
        return done

    def start_job(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start such a job and go on; `branch` says which one it is of."""
        clone = self.folder / "builds" / str(self.builds)
        self.builds += 1
        clone.parent.mkdir(exist_ok=True)
        address = self.address.replace("http://", f"http://oauth2:{GIT_TOKEN}@")
        branch = variables.pop("branch", "main")
        done = subprocess.run(
            ["git", "clone", "--quiet", "--branch", branch, address, str(clone)],
            env=self.job_environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return subprocess.Popen(
            [sys.executable, "-m", "gitops", "-C", str(clone), *arguments],
            env=self.job_environ(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def review_job(
        self, number: int, branch: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a job of a merge request's pipeline."""
        return self.job(*arguments, branch=branch, **make_review(number), **variables)

    @property
    def last_clone(self) -> Path:
        return self.folder / "builds" / str(self.builds - 1)

    def document(self, name: str) -> dict[str, Any]:
        """Return a document that the last job left."""
        place = self.last_clone / ".gitops" / "fuel" / name
        body: dict[str, Any] = json.loads(place.read_text())
        return body

    def file_on_main(self, path: str) -> str:
        return self.bare.git("show", f"main:{path}")

    def change(self, files: dict[str, str | bytes], message: str, branch: str = "main") -> str:
        """Commit to a branch, as a merge or a push to a merge request does."""
        self.work.git("fetch", "--quiet", str(self.bare.path), "main")
        self.work.git("checkout", "--quiet", "-B", branch, "FETCH_HEAD")
        commit = self.work.commit_files(files, message)
        self.work.git("push", "--quiet", "--force", str(self.bare.path), f"HEAD:{branch}")
        return commit


def make_review(number: int) -> dict[str, str]:
    """Return the variables that make a job one of a merge request's pipeline."""
    return {
        "CI_COMMIT_REF_PROTECTED": "false",
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_IID": str(number),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_PROJECT_PATH": "team/cars",
    }


@contextmanager
def make_world(
    folder: Path, *, mode: str = "serverless", engines: str = ENGINES
) -> Iterator[World]:
    """Make the repository, push its data with DVC, start every server; main has no release yet."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        s3 = stack.enter_context(serve_s3())
        served = folder / "served"
        make_bare(served / "team" / "cars.git").git("config", "http.receivepack", "true")
        git = stack.enter_context(serve_git(served))
        git.token = ""
        hosts = f"127.0.0.1:{git.port},{s3.url.removeprefix('http://')}"
        names = ("GITOPS_ALLOWED_HOSTS", "GITOPS_PRIVATE_HOSTS", "GITOPS_HTTP_HOSTS")
        initializer = {"GITOPS_GIT_TOKEN": GIT_TOKEN, **dict.fromkeys(names, hosts), **s3.environ}
        pods = {"PATH": os.environ["PATH"], "HOME": str(folder / "pods"), **initializer}
        cluster = stack.enter_context(serve_kubernetes(folder / "cluster", environ=pods))
        reach = {"KUBECONFIG": str(write_address(cluster.kubeconfig(folder / "kubeconfig")))}
        kubeflow = stack.enter_context(
            serve_fake_kubeflow(
                folder / "kubeflow",
                secrets=make_secrets(s3, cluster.token),
                environment={**reach, **{k: v for k, v in s3.environ.items() if "KEY" not in k}},
            )
        )
        kubeflow.world.namespaces |= {"gitops-experiments", "gitops-production"}
        kubeflow.world.secrets["gitops-kfp"] = {"token": kubeflow.token}
        work = make_repository(folder / "work")
        world = World(folder=folder, work=work, git=git, s3=s3, kubeflow=kubeflow, cluster=cluster)
        (folder / "home").mkdir()
        text = engines.format(
            kubeflow=kubeflow.url,
            image=IMAGE,
            mode=mode,
            gateway=cluster.gateway,
            read=READ,
            rollout=ROLLOUT,
        )
        write_repository(world, text)
        git.token = GIT_TOKEN
        yield world


def write_address(kubeconfig: Path) -> Path:
    """Write a kubeconfig that says where the cluster is, and has no token: pods get that as a secret."""
    content = yaml.safe_load(kubeconfig.read_text())
    for user in content["users"]:
        user["user"] = {}
    place = kubeconfig.with_name("address")
    place.write_text(yaml.safe_dump(content))
    return place


def make_secrets(s3: S3Place, kube_token: str) -> dict[str, dict[str, str]]:
    """Return the cluster's secrets; a step sees those that gitops.yaml names for it."""
    storage = {
        "key": s3.environ["AWS_ACCESS_KEY_ID"],
        "secret": s3.environ["AWS_SECRET_ACCESS_KEY"],
    }
    git = {"token": GIT_TOKEN}
    return {
        "gitops-read": {**git, **storage},
        "gitops-release": {**git, **storage},
        "gitops-rollout": {**git, **storage, "kube": kube_token},
    }


def write_repository(world: World, engines: str) -> None:
    """Write the fuel model's repository and push it; its data goes to S3 by DVC."""
    path = world.work.path
    shutil.copytree(
        ROOT / "pipelines" / "fuel",
        path / "pipelines" / "fuel",
        ignore=shutil.ignore_patterns("__*"),
    )
    world.work.write("gitops.yaml", CONFIG.format(bucket=world.s3.bucket, engines=engines))
    world.work.write("data/auto-mpg.csv.dvc", (ROOT / "data" / "auto-mpg.csv.dvc").read_bytes())
    world.work.write(".dvc/config", DVC_CONFIG.format(bucket=world.s3.bucket, url=world.s3.url))
    # The committed sample remote lies as `dvc push` laid it out: the same objects, on S3.
    sample = ROOT / "data" / "remote"
    for file in (path for path in sample.rglob("*") if path.is_file()):
        world.s3.write(f"dvc/{file.relative_to(sample).as_posix()}", file.read_bytes())
    world.work.write(".gitignore", ".gitops/\n")
    world.work.commit("Track cars and their fuel consumption")
    world.work.git("push", "--quiet", str(world.bare.path), "HEAD:main")
