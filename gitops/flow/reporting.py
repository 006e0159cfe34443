"""A verdict and the run behind it come in; the note, the HTML page and the terminal's summary go out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from gitops import log
from gitops.adapters import documents
from gitops.config import Zone
from gitops.flow.judging import make_page, read_run, read_verdict
from gitops.flow.planning import find_base, plan_changes
from gitops.flow.waiving import find_next_steps, read_today, weigh_head
from gitops.flow.workspace import Workspace
from gitops.gate.verdict import Outcome, Verdict
from gitops.plan import Plan, plan_from_json
from gitops.report.figure import render_figure
from gitops.report.html import render_html
from gitops.report.markdown import render_markdown
from gitops.report.page import Page
from gitops.report.terminal import render_terminal
from gitops.run import Run

NOTE, PAGE, PICTURE = "report.md", "report.html", "predictions.svg"

_NEXT = {
    Outcome.PASS: "merge; then on the target branch: gitops run production --model {model}",
    Outcome.FAIL: "change the model or the data, commit, then: gitops check --model {model}",
    Outcome.INCONCLUSIVE: "a person decides: read {page}",
    Outcome.NOT_APPLICABLE: "read {page}",
}


def show_report(workspace: Workspace, plan: Plan | None, run: Run, verdict: Verdict) -> None:
    """Write report.md and report.html, and print the summary."""
    commands = _make_commands(workspace, verdict)
    waiver = _describe_waiver(workspace, verdict)
    page = make_page(workspace, plan, run, verdict, commands, waiver=waiver)
    write_report(page, workspace.folder / run.model)
    figure = render_figure(page.points) if page.points else ""
    if figure:
        documents.write_file(workspace.document(run.model, PICTURE), figure)
    width = min(shutil.get_terminal_size((80, 24)).columns, 100)
    sys.stdout.write(render_terminal(page, colour=log.has_colour(sys.stdout), width=width) + "\n")
    log.say(f"report: {_relative(workspace, run.model)}")


def _describe_waiver(workspace: Workspace, verdict: Verdict) -> str:
    """Say who lets a verdict through that does not pass, until when and why; empty if nobody does."""
    if verdict.outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        return ""
    waiver = weigh_head(workspace, verdict, today=read_today()).waiver
    return f"by {waiver.by} until {waiver.expires}: {waiver.why}" if waiver else ""


def _make_commands(workspace: Workspace, verdict: Verdict) -> tuple[str, ...]:
    """Return what the reader does next; in CI the pipelines do what follows a pass."""
    is_local = workspace.request.zone is Zone.LOCAL
    if not is_local and verdict.outcome is Outcome.PASS:
        return ()
    page = _relative(workspace, verdict.model)
    usual = _NEXT[verdict.outcome].format(model=verdict.model, page=page)
    return tuple(find_next_steps(workspace, verdict, usual))


def write_report(page: Page, directory: Path) -> tuple[Path, Path]:
    """Write the note and the page; return their paths.

    Both are rendered before either is written: a note never lies beside an older page.
    """
    note, document = directory / NOTE, directory / PAGE
    contents = render_markdown(page), render_html(page)
    for path, content in zip((note, document), contents, strict=True):
        documents.write_file(path, content)
    return note, document


def _relative(workspace: Workspace, model: str) -> str:
    return f"{workspace.request.documents}/{model}/{PAGE}"


def report_model(workspace: Workspace, model: str) -> Verdict:
    """Write the report of a model's last verdict again, with the last plan if it is of this commit."""
    run, verdict = read_run(workspace, model), read_verdict(workspace, model)
    show_report(workspace, _read_plan(workspace, run), run, verdict)
    return verdict


def find_plan(workspace: Workspace, run: Run, environ: Mapping[str, str]) -> Plan | None:
    """Return the plan of a run; the gate of a merge request makes its own, as it does everything."""
    if workspace.request.zone is Zone.JUDGED:
        base = find_base(workspace, environ, None)
        return plan_changes(workspace, base, check_remote=False)
    return _read_plan(workspace, run)


def _read_plan(workspace: Workspace, run: Run) -> Plan | None:
    place = workspace.folder / "plan.json"
    if not place.exists():
        return None
    plan = plan_from_json(documents.read_document(place, "plan"))
    return plan if plan.head == run.commit else None
