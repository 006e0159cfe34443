"""A stage and a voice come in; merge requests are played, one by one; their accounts go out."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gitops.flow.judging import make_page, read_run, read_verdict
from gitops.flow.workspace import open_workspace
from gitops.plan import plan_from_json
from tests.demo.stage import PYTHON, Stage, apply_merge_request
from tests.demo.story import MERGE_REQUESTS, End, MergeRequest

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.report.page import Page
    from tests.demo.voice import Finished, Voice

_CHECK = "check --target origin/main"
_WORK = ("run", "reuse")
_SENTENCES = {
    End.PASS: "It may be merged.",
    End.FAIL: "Blocked: nothing is merged, released or served.",
    End.INCONCLUSIVE: "A person has to decide.",
    End.REFUSED: "Nothing is trained; the hint above mends it.",
    End.SKIPPED: "Merged; nothing had to run.",
}
# The plan's steps and what is as it should be: in the log, for who wants to know.
_ROUTINE = re.compile(
    r"  (prepare|train|score|gate) +(run|reuse) |✓ (leak|consistency)|report: |(added|modified) "
)
_ENDS = {"refuse": End.REFUSED, "skip": End.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of one merge request.

    Attributes:
        request: the merge request.
        planned: models that something was to happen to.
        end: how it ended.
        reason: the sentence behind it.
        findings: the verdict's findings, as the document has them.
        released: tag of the release, or None.
        seconds: from the branch to the served model.
        lines: what `gitops check` printed.
        pages: the reports of its models.
        problems: what did not go as the story promises.
    """

    request: MergeRequest
    planned: tuple[str, ...]
    end: End
    reason: str
    findings: tuple[dict[str, Any], ...]
    released: str | None
    seconds: float
    lines: tuple[str, ...]
    pages: tuple[Page, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `gitops check` left behind: its exit code and output, its plan, verdict and report."""

    finished: Finished
    planned: tuple[str, ...]
    end: End
    reason: str
    findings: tuple[dict[str, Any], ...]
    pages: tuple[Page, ...]


def gitops(
    stage: Stage, voice: Voice, command: str, *, day: int, desk: bool, keep: int
) -> Finished:
    """Run a gitops command at the desk or in the target branch's pipeline, and show it."""
    return voice.run(
        (PYTHON, "-m", "gitops", *shlex.split(command)),
        shown=f"gitops {command}",
        where="desk" if desk else "main",
        cwd=stage.desk if desk else stage.ci,
        env=stage.on_day(day) if desk else stage.in_ci(day),
        keep=keep,
        hide=_ROUTINE,
    )


def play_merge_request(stage: Stage, voice: Voice, request: MergeRequest) -> Account:
    """Branch, change, commit, push, check; merge and go to production only if the gate agrees."""
    voice.heading(f"!{request.number} {request.name}")
    voice.tell(request.tale)
    start = time.monotonic()
    _push_branch(stage, request)
    checked = _check(stage, voice, request)
    problems = find_problems(request, checked)
    if request.waiver and not problems:
        problems = _waive(stage, voice, request)
    production = None
    if checked.finished.code == 0 or (request.waiver and not problems):
        _merge(stage, voice, request)
        production = _run_production(stage, voice, request)
    account = Account(
        request=request,
        planned=checked.planned,
        end=checked.end,
        reason=checked.reason,
        findings=checked.findings,
        released=_read_tag(stage, request, production),
        seconds=round(time.monotonic() - start, 2),
        lines=checked.finished.lines,
        pages=checked.pages,
        problems=(*problems, *_production_problems(production)),
    )
    voice.outcome(account.end, _sentence(account), account.seconds)
    return account


def _push_branch(stage: Stage, request: MergeRequest) -> None:
    desk = stage.desk
    stage.git("fetch", "--quiet", "--tags", "origin", cwd=desk)
    stage.git("switch", "--quiet", "--create", request.name, "origin/main", cwd=desk)
    # Data of an earlier branch, which this one's .gitignore does not know, is no part of it.
    stage.git("clean", "--quiet", "--force", "-d", cwd=desk)
    apply_merge_request(stage, request)
    _commit(stage, request, request.title)


def _commit(stage: Stage, request: MergeRequest, message: str) -> None:
    stage.git("add", "--all", cwd=stage.desk)
    stage.git("commit", "--quiet", "-m", message, cwd=stage.desk, day=request.number + 1)
    stage.git("push", "--quiet", "--set-upstream", "origin", request.name, cwd=stage.desk)


def _waive(stage: Stage, voice: Voice, request: MergeRequest) -> tuple[str, ...]:
    """Record a person's decision beside the pointer, where reviewers and history see it."""
    # Git's clock stands still in the story; a waiver expires by the clock of this machine.
    expires = datetime.now(tz=UTC).date() + timedelta(days=30)
    command = f"waive {request.model} --reason {shlex.quote(request.waiver)} --expires {expires}"
    waived = gitops(stage, voice, command, day=request.number + 1, desk=True, keep=8)
    if waived.code:
        return (f"gitops waive ended with exit code {waived.code}",)
    _commit(stage, request, f"Waive the verdict on {request.model}")
    again = gitops(stage, voice, _CHECK, day=request.number + 1, desk=True, keep=1)
    said = "waived by Ada" in " ".join(again.lines)
    return () if said else ("gitops check does not say that the verdict is waived",)


def _check(stage: Stage, voice: Voice, request: MergeRequest) -> Checked:
    _forget_documents(stage.desk, request.model)
    changed = stage.git("diff", "--stat=80", "origin/main...HEAD", cwd=stage.desk)
    voice.quote([line.strip() for line in changed.splitlines()], keep=6)
    finished = gitops(stage, voice, _CHECK, day=request.number + 1, desk=True, keep=24)
    return read_checked(stage, request.model, finished)


def read_checked(stage: Stage, model: str, finished: Finished) -> Checked:
    """Read what `gitops check` left about a model in the documents of the desk."""
    plan = read_document(stage.desk / ".gitops/plan.json") or {"models": [], "refusals": []}
    verdict = read_document(stage.desk / ".gitops" / model / "verdict.json")
    end, reason = _read_plan(plan)
    return Checked(
        finished=finished,
        planned=tuple(each["name"] for each in plan["models"] if each["action"] in _WORK),
        end=End(verdict["outcome"]) if verdict else end,
        reason=verdict["reason"] if verdict else reason,
        findings=tuple(verdict["findings"]) if verdict else (),
        pages=(_read_page(stage, model),) if verdict else (),
    )


def _read_plan(plan: dict[str, Any]) -> tuple[End, str]:
    """Return how a merge request ends that nothing was run for, and why."""
    for refusal in plan["refusals"]:
        return End.REFUSED, f"{refusal['where']}: {refusal['what']}; {refusal['hint']}"
    for model in plan["models"]:
        reason = f"{model['reason']}; {model['hint']}" if model["hint"] else model["reason"]
        return _ENDS.get(model["action"], End.REFUSED), reason
    return End.REFUSED, "there is no plan"


def _read_page(stage: Stage, model: str) -> Page:
    workspace = open_workspace(stage.desk, stage.environ, target="origin/main")
    plan = plan_from_json(read_document(stage.desk / ".gitops/plan.json"))
    run, verdict = read_run(workspace, model), read_verdict(workspace, model)
    return make_page(workspace, plan, run, verdict, ())


def _forget_documents(checkout: Path, model: str) -> None:
    """Start without the documents of the last pipeline; the store stays, as a cache would."""
    for path in (checkout / ".gitops/plan.json", *(checkout / ".gitops" / model).glob("*.json")):
        path.unlink(missing_ok=True)


def read_document(path: Path) -> Any:
    """Return a stage's document, None where there is none."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _merge(stage: Stage, voice: Voice, request: MergeRequest) -> None:
    """Merge as GitLab does, in its words, which is how a release learns its merge request."""
    message = (
        f"Merge branch '{request.name}' into 'main'\n\n{request.title}\n\n"
        f"See merge request {request.reference}"
    )
    day, desk = request.number + 1, stage.desk
    stage.git("switch", "--quiet", "main", cwd=desk)
    stage.git("merge", "--quiet", "--ff-only", "origin/main", cwd=desk)
    stage.git("merge", "--quiet", "--no-ff", "-m", message, request.name, cwd=desk, day=day)
    stage.git("push", "--quiet", "origin", "main", cwd=desk)
    voice.line(voice.paint(f"  {request.reference} is merged into main", "dim"))


def _run_production(stage: Stage, voice: Voice, request: MergeRequest) -> Finished:
    stage.git("pull", "--quiet", "--ff-only", "--tags", "origin", "main", cwd=stage.ci)
    return gitops(stage, voice, "run production", day=request.number + 1, desk=False, keep=14)


def _read_tag(stage: Stage, request: MergeRequest, production: Finished | None) -> str | None:
    """Return the tag that production just made; an older document says nothing about a failure."""
    if production is None or production.code or request.end is End.SKIPPED:
        return None
    return str(read_document(stage.ci / ".gitops" / request.model / "release.json")["tag"])


def find_problems(request: MergeRequest, checked: Checked) -> tuple[str, ...]:
    """Return what did not go as the story promises: the end, the deciding rule, the exit code."""
    problems = []
    if checked.end is not request.end:
        problems.append(f"ended {checked.end}, not {request.end}: {checked.reason}")
    decided = {each["rule"] for each in checked.findings if each["outcome"] == checked.end}
    if request.finding and request.finding not in decided:
        problems.append(
            f"{request.finding} did not decide; {', '.join(sorted(decided)) or 'nothing'} did"
        )
    rows = max((each["rows"] for each in checked.findings), default=0)
    if rows != request.rows:
        problems.append(f"judged on {rows} held-out rows, not {request.rows}")
    if request.end is End.REFUSED and "dvc push" not in checked.reason:
        problems.append("the refusal does not name the command that mends it")
    if request.end in (End.REFUSED, End.SKIPPED) and checked.planned:
        problems.append("something ran")
    may_merge = request.end in (End.PASS, End.SKIPPED)
    if may_merge != (checked.finished.code == 0):
        problems.append(f"gitops check ended with exit code {checked.finished.code}")
    return tuple(problems)


def _production_problems(production: Finished | None) -> tuple[str, ...]:
    if production is None or production.code == 0:
        return ()
    return (f"gitops run production ended with exit code {production.code}",)


def _sentence(account: Account) -> str:
    wrong = "".join(f" NOT AS PROMISED: {problem}." for problem in account.problems)
    waived = "A person decided, and it is on record. " if account.request.waiver else ""
    released = f"{waived}Released as {account.released}, and it serves."
    return (released if account.released else _SENTENCES[account.end]) + wrong


def play_all(stage: Stage, voice: Voice) -> list[Account]:
    """Play every merge request in order; stop at the first that does not go as promised."""
    accounts = list[Account]()
    for request in MERGE_REQUESTS:
        accounts.append(play_merge_request(stage, voice, request))
        if accounts[-1].problems:
            break
    return accounts
