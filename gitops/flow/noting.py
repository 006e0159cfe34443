"""The documents of the gate come in; a merge request's one note and its commit's status say what they say.

And who waives a verdict that does not pass, or what has to happen for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitops import log
from gitops.adapters.ci import MergeRequestJob
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.flow.failures import find_failure
from gitops.flow.forge_waiving import STATUS, read_facts
from gitops.flow.judging import read_run, read_verdict
from gitops.flow.reporting import NOTE, PICTURE
from gitops.flow.waiving import read_today, weigh_head
from gitops.forge import CommitStatus, StatusState
from gitops.forge_waiver import render_told, weigh_forge
from gitops.gate.verdict import Outcome
from gitops.note import Marker
from gitops.plan import Refusal, show
from gitops.report.overview import (
    ModelReport,
    find_worst,
    render_overview,
    render_refusals,
    render_summary,
)

if TYPE_CHECKING:
    from gitops.adapters.gitlab import Connection
    from gitops.flow.workspace import Workspace
    from gitops.forge_waiver import ForgeFacts
    from gitops.gate.verdict import Verdict
    from gitops.plan import Plan

SCOPE = "gitops"
_LARGEST = 1 << 20
_OPEN = (Outcome.FAIL, Outcome.INCONCLUSIVE)
# A verdict that cannot tell is neither red nor green: a red one would block the merge, a green one lie.
_STATES = {
    Outcome.PASS: StatusState.SUCCESS,
    Outcome.INCONCLUSIVE: StatusState.SKIPPED,
    Outcome.FAIL: StatusState.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a merge request is told: of each planned model, why others have nothing to say, what is refused.

    Attributes:
        reports: what a reviewer reads of each planned model.
        skipped: name and reason of every other.
        refusals: why nothing was run.
        verdicts: those of the planned models that have one.
    """

    reports: tuple[ModelReport, ...]
    skipped: tuple[tuple[str, str], ...]
    refusals: tuple[Refusal, ...]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Return the verdict on all models together."""
        return Outcome.FAIL if self.refusals else find_worst(self.reports)

    @property
    def waived_by(self) -> str:
        """Return who waives all that does not pass, such as `@mara`; empty while anything is open."""
        rest = [report for report in self.reports if report.outcome is not Outcome.PASS]
        open_ = any(not report.waived_by for report in rest)
        return "" if self.refusals or open_ else ", ".join(sorted({r.waived_by for r in rest}))

    @property
    def summary(self) -> str:
        """Return one line of plain text."""
        places = ", ".join(refusal.where for refusal in self.refusals)
        if places:
            return f"refused: {show(places)}"
        return render_told(render_summary(self.reports), self.verdicts, self.waived_by)

    def render(self, job: MergeRequestJob) -> str:
        """Return the body of the note."""
        if self.refusals:
            return render_refusals(self.refusals, commit=job.commit, link=job.link)
        return render_overview(self.reports, skipped=self.skipped, commit=job.commit, link=job.link)


def read_message(workspace: Workspace, plan: Plan) -> Message:
    """Read what the gate wrote about each planned model; what is missing or stale is no verdict."""
    if plan.is_refused:
        return Message(reports=(), skipped=(), refusals=plan.all_refusals)
    planned = {model.name for model in plan.planned}
    read = [_read_report(workspace, name) for name in sorted(planned)]
    return Message(
        reports=tuple(report for report, _ in read),
        skipped=tuple((m.name, m.reason) for m in plan.models if m.name not in planned),
        refusals=(),
        verdicts=tuple(verdict for _, verdict in read if verdict),
    )


def _read_report(workspace: Workspace, name: str) -> tuple[ModelReport, Verdict | None]:
    """Return what is known of a model: what the gate wrote, else what its run said when it failed."""
    judged = _read_judged(workspace, name)
    if judged:
        return judged
    return ModelReport(model=name, outcome=None, failure=_read_failure(workspace, name)), None


def _read_failure(workspace: Workspace, name: str) -> str:
    try:
        failure = find_failure(workspace, name)
    except InputError as error:
        log.warn(f"why the run of {name} failed cannot be read: {show(str(error))}")
        return ""
    return failure.text if failure else ""


def _read_judged(workspace: Workspace, name: str) -> tuple[ModelReport, Verdict] | None:
    """Return what the gate wrote about a model; what cannot be read, or is of another run, is nothing."""
    text = workspace.document(name, NOTE)
    if not (workspace.document(name, "verdict.json").exists() and text.exists()):
        return None
    try:
        verdict, run = read_verdict(workspace, name), read_run(workspace, name)
        content = _read_text(text).decode("utf-8", "replace")
    except InputError as error:
        log.warn(f"{name} has no verdict: {error}")
        return None
    if run.commit != workspace.request.head or run.fingerprint != verdict.fingerprint:
        return None
    return ModelReport(model=name, outcome=verdict.outcome, text=content), verdict


def _read_text(path: Path) -> bytes:
    if path.is_symlink() or path.stat().st_size > _LARGEST:
        raise InputError("not a report of the gate: a link, or too large", where=str(path))
    return path.read_bytes()


def post_message(
    connection: Connection, job: MergeRequestJob, workspace: Workspace, message: Message
) -> Message:
    """Write the note, then set the status. Only the status is vital: a failed note is a warning.

    Returns the message with what people decided about it on GitLab.

    Raises:
        OutsideError: the status is not known to be set, or is set without knowing whether somebody
            waives the verdict.
    """
    decided, trouble = _with_waivers(connection, job, workspace, message)
    try:
        _post_note(connection, job, _with_pictures(connection, job, workspace, decided))
    except GitopsError as error:
        log.warn(f"the note was not written: {error}")
    _set_status(connection, job, decided)
    if trouble:
        raise trouble
    return decided


def _with_waivers(
    connection: Connection, job: MergeRequestJob, workspace: Workspace, message: Message
) -> tuple[Message, OutsideError | None]:
    """Add what people decided on GitLab; an error of GitLab's is kept for later, and is no waiver."""
    open_ = {one.model: one for one in message.verdicts if one.outcome in _OPEN}
    if not open_:
        return message, None
    try:
        facts = read_facts(
            connection, job.project, job.number, reference=workspace.request.merge_request
        )
    except OutsideError as error:
        return message, error
    reports = tuple(
        _decide(workspace, job, facts, report, open_[report.model])
        if report.model in open_
        else report
        for report in message.reports
    )
    return replace(message, reports=reports), None


def _decide(
    workspace: Workspace,
    job: MergeRequestJob,
    facts: ForgeFacts,
    report: ModelReport,
    verdict: Verdict,
) -> ModelReport:
    """Say in a model's report who waives its verdict, or what has to happen for that."""
    today = read_today()
    if weigh_head(workspace, verdict, today=today).waiver is not None:
        return report  # by a file of this merge request, which the report names
    weighed = weigh_forge(facts, verdict, sha=job.commit, today=today)
    waiver = weighed.waiver
    if waiver is None:
        return replace(report, waiver=f"Not waived: {weighed.void[0]}.")
    told = f"Waived by {waiver.by} until {waiver.expires}: {waiver.why}."
    return replace(report, waiver=told, waived_by=waiver.by.partition(" ")[0])


def _post_note(connection: Connection, job: MergeRequestJob, message: Message) -> None:
    from gitops.adapters.gitlab import upsert_note

    posted = upsert_note(
        connection,
        job.project,
        job.number,
        Marker(scope=SCOPE, order=job.pipeline),
        message.render(job),
        sha=job.commit,
    )
    log.say(f"note {posted.id} of !{job.number} is up to date")


def _with_pictures(
    connection: Connection, job: MergeRequestJob, workspace: Workspace, message: Message
) -> Message:
    """Upload each model's picture; a note without one still says everything."""
    from gitops.adapters.gitlab import upload

    def complete(report: ModelReport) -> ModelReport:
        place = workspace.document(report.model, PICTURE)
        if report.outcome is None or not place.exists():
            return report
        try:
            name = f"{report.model}-predictions.svg"
            shown = upload(connection, job.project, name, _read_text(place))
        except GitopsError as error:
            log.warn(f"the picture of {report.model} was not uploaded: {error}")
            return report
        return replace(report, picture=shown)

    return replace(message, reports=tuple(complete(report) for report in message.reports))


def _set_status(connection: Connection, job: MergeRequestJob, message: Message) -> None:
    from gitops.adapters.gitlab import set_status

    status = CommitStatus(
        sha=job.commit,
        name=STATUS,
        state=StatusState.SUCCESS if message.waived_by else _STATES[message.outcome],
        description=message.summary,
        target_url=job.link,
        pipeline_id=None if job.is_merged_result else job.pipeline,
    )
    set_status(connection, job.pipeline_project, status)
    log.say(f"status {STATUS} of {job.commit[:12]}: {status.state}: {status.description}")
