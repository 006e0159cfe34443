"""A stage with a served model comes in; it is asked, rolled back, asked again; answers go out."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.demo.play import gitops, read_document
from tests.demo.story import AUDI

if TYPE_CHECKING:
    from tests.demo.stage import Stage
    from tests.demo.voice import Voice

DAY = 20
MODEL = "fuel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the served model says: miles per gallon, its tag, the commit that carries it."""

    mpg: float
    model: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Epilogue:
    """What happened after the merge requests.

    Attributes:
        before: the answer of the latest release.
        after: the answer once it was rolled back.
        problems: what did not go as the story promises.
    """

    before: Answer
    after: Answer
    problems: tuple[str, ...]


def play_epilogue(stage: Stage, voice: Voice, released: list[str]) -> Epilogue:
    """Show that releases trigger nothing, ask the model, look at its status, roll it back.

    Args:
        stage: where the releases were made.
        voice: tells it.
        released: tags of the releases, oldest first; at least two.
    """
    # Releases are pushed from a clone of their own; this one has yet to hear of the last.
    stage.git("fetch", "--quiet", "--tags", "origin", cwd=stage.ci)
    problems = [*_plan_release_commit(stage, voice, released[-1])]
    voice.heading("A car asks")
    voice.tell(
        "A 1976 Audi 100 of 2448 pounds, which the data set does not have. Its maker says 25.0."
    )
    before = ask(stage, voice)
    problems += _wrong_identity(before, released[-1], _commit_of(stage, released[-1]))
    problems += _status(stage, voice)
    voice.heading("Back to the model before")
    voice.tell(
        "Whoever signed the waiver thinks better of it. A rollback is a commit, like everything "
        "else."
    )
    problems += _failed("rollback", gitops(stage, voice, _ROLLBACK, **_CI).code)
    after = ask(stage, voice)
    stage.git("fetch", "--quiet", "--tags", "origin", cwd=stage.ci)
    problems += _wrong_identity(
        after, released[-2], stage.git("rev-parse", "origin/main", cwd=stage.ci)
    )
    problems += _status(stage, voice)
    _show_history(stage, voice)
    return Epilogue(before=before, after=after, problems=tuple(problems))


_ROLLBACK = f"rollback {MODEL} --reason 'seven cars were too few after all'"
_CI: dict[str, Any] = {"day": DAY, "desk": False, "keep": 14}


def ask(stage: Stage, voice: Voice) -> Answer:
    """Send the car to the model that serves now, and show what it answers."""
    address = read_document(stage.ci / ".gitops" / MODEL / "rollout.json")["url"]
    body = json.dumps({"instances": [AUDI]})
    (stage.root / "audi.json").write_text(body + "\n", "utf-8")
    command = f"curl --json @audi.json {address}"
    voice.line(f"  {voice.paint('you  $', 'dim')} {voice.paint(command, 'cyan')}")
    request = urllib.request.Request(
        address, data=body.encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        said = json.load(response)
    who = said["model"]
    answer = Answer(
        mpg=said["predictions"][0],
        model=f"{who['name']}@{who['version']}",
        commit=who["commit"],
    )
    voice.line(
        f"    {answer.mpg:.1f} miles per gallon, says {answer.model} of commit {answer.commit[:10]}"
    )
    return answer


def _commit_of(stage: Stage, tag: str) -> str:
    return stage.git("rev-parse", f"{tag}^{{commit}}", cwd=stage.ci)


def _wrong_identity(answer: Answer, tag: str, commit: str) -> list[str]:
    if (answer.model, answer.commit) == (tag, commit):
        return []
    return [f"{answer.model} of {answer.commit[:10]} answers, not {tag} of {commit[:10]}"]


def _failed(command: str, code: int) -> list[str]:
    return [f"gitops {command} ended with exit code {code}"] if code else []


def _status(stage: Stage, voice: Voice) -> list[str]:
    return _failed("status", gitops(stage, voice, "status", **_CI).code)


def _plan_release_commit(stage: Stage, voice: Voice, tag: str) -> list[str]:
    """The commits that a release writes must not start another release."""
    voice.heading("The robot's own commit")
    voice.tell(f"The release {tag} is a commit too. What a pipeline for it would do:")
    commit = _commit_of(stage, tag)
    short = commit[:10]
    code = gitops(stage, voice, f"plan --base {short}^ --head {short}", **_CI).code
    plan = read_document(stage.ci / ".gitops/plan.json")
    busy = [each["name"] for each in plan["models"] if each["action"] != "skip"]
    return [*_failed("plan", code), *(f"the release commit plans {name}" for name in busy)]


def _show_history(stage: Stage, voice: Voice) -> None:
    voice.tell("And Git has it all:")
    history = stage.git("log", "--first-parent", "--format=%h %s%d", "origin/main", cwd=stage.ci)
    voice.quote(history.splitlines()[:12], keep=12)
