"""Real repositories, judged candidates and pointers for the tests of release, rollout and rollback."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from gitops.adapters.publish import GitRemote, Question, publish
from gitops.config import Config, ModelConfig, make_config
from gitops.digest import make_digest
from gitops.flow.inputs import read_inputs
from gitops.flow.releasing import make_input_paths, make_output_paths, release_model
from gitops.gate.verdict import Finding, Outcome, Verdict
from gitops.manifest import DataDigest
from gitops.plan import make_fingerprint
from gitops.release import (
    Candidate,
    Release,
    StepCallback,
    ignore_step,
    plan_release,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.flow.workspace import Workspace

TODAY = date(2026, 1, 5)
MERGE_MESSAGE = "Merge branch 'x' into 'main'\n\nBetter\n\nSee merge request demo/fuel!7"


def make_environ(home: Path) -> dict[str, str]:
    """Return an environment in which no setting of this machine takes part."""
    home.mkdir(parents=True, exist_ok=True)
    person = {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": "2026-01-05T10:00:00+00:00"}
    roles = ("AUTHOR", "COMMITTER")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{key}": value for role in roles for key, value in person.items()},
    }


def git(path: Path, *arguments: str) -> str:
    """Run git as a person would, and return what it printed."""
    environ = make_environ(path.parent / "home")
    command = ["git", "-C", str(path), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def make_test_config(*names: str) -> Config:
    return make_config(make_content(*names))


def make_content(*names: str) -> dict[str, object]:
    """Return what gitops.yaml says."""
    models = {
        name: {
            "data": "data/cars.csv",
            "target": "mpg",
            "pipeline": f"pipelines/{name}/pipeline.py:train",
            "gate": {"metrics": {"rmse": {"max": 4.5}}},
            "release": {"pointer": f"models/{name}.dvc"},
        }
        for name in names
    }
    return {"version": 1, "models": models}


def make_repositories(folder: Path, *names: str) -> tuple[Path, str]:
    """Make a bare repository and a checkout of it; return the bare one and the source commit."""
    origin, checkout = folder / "origin.git", folder / "checkout"
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(folder, "init", "--quiet", "--initial-branch=main", str(checkout))
    git(checkout, "remote", "add", "origin", str(origin))
    for name in names:
        write(checkout, f"pipelines/{name}/pipeline.py", f"# {name}\n")
    write(checkout, "data/cars.csv.dvc", "outs:\n- md5: " + "a" * 32 + "\n  path: cars.csv\n")
    return origin, commit(checkout, MERGE_MESSAGE)


def write(checkout: Path, path: str, content: str) -> None:
    file = checkout / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def commit(checkout: Path, message: str) -> str:
    """Commit everything and push it to main."""
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", message)
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
    return git(checkout, "rev-parse", "HEAD")


def make_remote(origin: Path) -> GitRemote:
    environ = make_environ(origin.parent / "home")
    unnamed = {key: value for key, value in environ.items() if "COMMITTER" not in key}
    return GitRemote(url=str(origin), branch="main", environ=unnamed, timeout=60)


def make_verdict(model: ModelConfig, *, bundle: str, champion: str = "") -> Verdict:
    fingerprint = make_digest(["fingerprint", bundle])
    return Verdict(
        model=model.name,
        outcome=Outcome.PASS,
        reason="1 rule holds on 119 held-out rows; rmse 2.93",
        findings=(
            Finding(
                rule="rmse.max", outcome=Outcome.PASS, reason="fine", metric="rmse", candidate=2.93
            ),
        ),
        fingerprint=fingerprint,
        candidate=bundle,
        champion=champion,
        policy=model.policy.digest,
        rows=119,
        key=make_digest(["key", fingerprint, champion]),
    )


def make_candidate(model: ModelConfig, source: str, label: str, champion: str = "") -> Candidate:
    """Make a candidate whose pointer exists only on paper: enough for everything about Git."""
    md5 = make_digest(label)[7:39] + ".dir"
    pointer = f"outs:\n- md5: {md5}\n  size: 10\n  nfiles: 2\n  hash: md5\n  path: {model.name}\n"
    verdict = make_verdict(model, bundle=make_digest(label), champion=champion)
    return Candidate(
        config=model,
        pointer=pointer.encode(),
        pointer_md5=md5,
        source=source,
        data=(DataDigest(path="data/cars.csv", md5="a" * 32),),
        verdict=verdict,
        fingerprint=verdict.fingerprint,
        policy=model.policy.digest,
        today=TODAY,
    )


def make_question(config: Config, model: ModelConfig, source: str) -> Question:
    return Question(
        config=model,
        source=source,
        inputs=make_input_paths(config, model),
        outputs=make_output_paths(config),
    )


def publish_candidate(
    origin: Path, config: Config, candidate: Candidate, on_step: StepCallback = ignore_step
) -> Release:
    question = make_question(config, candidate.config, candidate.source)
    remote = make_remote(origin)
    return publish(
        remote, question, lambda target: plan_release(candidate, target), on_step=on_step
    )


def with_outcome(verdict: Verdict, outcome: Outcome) -> Verdict:
    """Return the verdict as if its one rule had ended like this."""
    reason = "rmse 2.93: the held-out rows cannot tell whether that is worse than 2.89"
    findings = tuple(
        replace(finding, outcome=outcome, reason=reason) for finding in verdict.findings
    )
    return replace(verdict, outcome=outcome, reason=reason, findings=findings)


def with_reason(candidate: Candidate, reason: str) -> Candidate:
    return replace(candidate, verdict=replace(candidate.verdict, reason=reason))


BUNDLE = {"bundle.json": b'{"format": "xgboost"}\n', "model.ubj": b"bytes of a model"}


def write_bundle_files(folder: Path, label: str = "a") -> Path:
    """Write two files that stand for a bundle: a release does not look inside."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in BUNDLE.items():
        (folder / name).write_bytes(content + label.encode())
    return folder


def make_project(folder: Path, *names: str) -> tuple[Path, Path]:
    """Make a bare repository, a DVC remote and a checkout with gitops.yaml; return origin, checkout."""
    origin, _ = make_repositories(folder, *names)
    checkout, remote = folder / "checkout", folder / "dvc-remote"
    remote.mkdir()
    pointer = "outs:\n- md5: " + "a" * 32 + "\n  size: 3\n  hash: md5\n  path: cars.csv\n"
    write(checkout, "data/cars.csv.dvc", pointer)
    write(checkout, "gitops.yaml", json.dumps(make_content(*names)))
    write(
        checkout,
        ".dvc/config",
        f"[core]\n    remote = here\n['remote \"here\"']\n    url = {remote}\n",
    )
    write(checkout, ".gitignore", "/.gitops/\n/.dvc/cache\n/.dvc/tmp\n")
    commit(checkout, MERGE_MESSAGE)
    git(checkout, "fetch", "--quiet", "origin")
    return origin, checkout


def open_project(checkout: Path) -> Workspace:
    from gitops.flow.workspace import open_workspace

    return open_workspace(checkout, make_environ(checkout.parent / "home"))


def write_judged(
    workspace: Workspace,
    label: str = "a",
    champion: str = "",
    folder: Path | None = None,
    outcome: Outcome = Outcome.PASS,
) -> Verdict:
    """Put a bundle into the store, and a verdict on it beside the run's documents."""
    from gitops.flow.judging import write_verdict
    from gitops.serving.bundle import make_digest as digest_folder

    folder = folder or write_bundle_files(workspace.root.parent / "made" / label, label)
    bundle = digest_folder(folder)
    workspace.store.write_copy("bundles", bundle, folder)
    model = workspace.model("fuel")
    inputs = read_inputs(workspace.repository, workspace.request.head, workspace.config)["fuel"]
    assert inputs.inputs is not None
    fingerprint = make_fingerprint(model, inputs.inputs)
    verdict = make_verdict(model, bundle=bundle, champion=champion)
    verdict = replace(verdict, fingerprint=fingerprint)
    if outcome is not Outcome.PASS:
        verdict = with_outcome(verdict, outcome)
    write_verdict(workspace, verdict)
    return verdict


def release_project(
    workspace: Workspace,
    verdict: Verdict,
    on_step: StepCallback = ignore_step,
    today: date = TODAY,
) -> Release:
    environ = dict(make_remote(workspace.root.parent / "origin.git").environ)
    return release_model(
        workspace,
        workspace.model(verdict.model),
        verdict=verdict,
        bundle=workspace.store.place("bundles", verdict.candidate),
        environ=environ,
        today=today,
        on_step=on_step,
    )


def count_objects(remote: Path) -> int:
    return sum(path.is_file() for path in remote.rglob("*"))
