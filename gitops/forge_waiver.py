"""What GitLab says about a merge request, and a verdict, come in; a person's waiver of exactly that verdict goes out.

Or why nobody waives it. The waiver is the same value that a file in Git holds, recorded like one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gitops.digest import make_digest
from gitops.forge import Approval, LabelAction, LabelEvent, MergeRequest, Role, User, Version
from gitops.gate.verdict import Outcome, Severity, Verdict
from gitops.waiver import VALID_DAYS, Weighed, list_refused, make_waiver

LABEL = "gitops::waive"
HOW = (
    f"a Maintainer who is not the author sets the label {LABEL} on this commit; or a Developer "
    "sets it, and such a Maintainer approves afterwards"
)

# What these rules find makes every other figure worthless: a click is too little for that.
_FILE_ONLY = ("leak", "data", "selftest")
# GitLab keeps these names for accounts of access tokens and services.
_MACHINE = re.compile(r"(?:project|group)_[0-9]+_bot(?:_.*)?|service_account_.*")
_SEALS = re.compile(r"(?!refused: ).* \[([0-9a-f]{16}(?: [0-9a-f]{16})*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeFacts:
    """A merge request as it is right now, and who did what with it.

    Attributes:
        reference: such as `group/project!7`.
        request: read after everything else, so that what changed meanwhile shows.
        versions: its pushes.
        approvals: those that stand.
        events: of its labels, oldest first.
        roles: what users may do now, by id; somebody who is not in it may do nothing.
        reader: id of the account that asked; a machine, whatever its name.
    """

    reference: str
    request: MergeRequest
    versions: tuple[Version, ...]
    approvals: tuple[Approval, ...]
    events: tuple[LabelEvent, ...]
    roles: tuple[tuple[int, Role], ...]
    reader: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """Who decided, when, and by doing what."""

    user: User
    at: datetime
    deed: str


def weigh_forge(facts: ForgeFacts, verdict: Verdict, *, sha: str, today: date) -> Weighed:
    """Find the person who waives a verdict on `sha` by label, or say why nobody does.

    In force is a label that a Maintainer set, or one that a Developer set and a Maintainer approved
    afterwards. An approval alone is how people approve code, and one from before the label knew
    nothing of a waiver, so neither counts; nor does what is older than the push of `sha`, what the
    author or a machine decides, or what has no time.
    """
    problem = find_file_only(verdict) or _find_void(facts, sha)
    decision = None if problem else _find_decision(facts)
    if decision is None:
        return Weighed(void=(problem or f"nobody who may has decided: {HOW}",))
    expires = decision.at.astimezone(UTC).date() + timedelta(days=VALID_DAYS)
    if expires < today:
        return Weighed(void=(f"it expired on {expires}: remove {LABEL}, and set it again",))
    role = _find_role(facts, decision.user).name.capitalize()
    waiver = make_waiver(
        verdict,
        by=f"@{decision.user.username} ({role}) on {facts.reference}",
        why=f"{decision.deed} {_show(decision.at)} at {sha}",
        expires=expires,
        today=today,
    )
    return Weighed(waiver=waiver, path=facts.reference)


def find_file_only(verdict: Verdict) -> str:
    """Say why only a waiver file, reviewed in Git, can waive a verdict; empty when a label can."""
    failed = [
        finding.rule
        for finding in verdict.findings
        if finding.severity is Severity.BLOCK and finding.outcome is Outcome.FAIL
    ]
    grave = [rule for rule in failed if rule.partition(".")[0] in _FILE_ONLY]
    if not grave:
        return ""
    return (
        f"{grave[0]} failed, which no label waives: record who decides and why with "
        f'gitops waive {verdict.model} --reason "...", and have that file reviewed'
    )


def _find_void(facts: ForgeFacts, sha: str) -> str:
    """Say why the label, whoever set it, does not speak about `sha`."""
    pushed = max(facts.versions, key=lambda version: version.created_at, default=None)
    if pushed is None or not sha == pushed.head == facts.request.sha:
        return f"{sha[:12]} is not the last commit of {facts.reference}"
    event = find_label_event(facts.events)
    if event is None or LABEL not in facts.request.labels:
        return f"{LABEL} is not set: {HOW}"
    if event.at <= pushed.created_at:
        return f"{LABEL} is older than this commit: remove it, and set it again"
    return ""


def find_label_event(events: tuple[LabelEvent, ...]) -> LabelEvent | None:
    """Return who set the label last; None when it was never set, or was removed since."""
    own = [event for event in events if event.label == LABEL]
    return own[-1] if own and own[-1].action is LabelAction.ADD else None


def _find_decision(facts: ForgeFacts) -> _Decision | None:
    event = find_label_event(facts.events)
    if event is None or event.user is None or not _has_role(facts, event.user, Role.DEVELOPER):
        return None
    if _may_decide(facts, event.user):
        return _Decision(user=event.user, at=event.at, deed=f"label {LABEL} set")
    deed = f"label {LABEL} set by @{event.user.username} {_show(event.at)}, approved"
    decisions = [
        _Decision(user=approval.user, at=approval.at, deed=deed)
        for approval in facts.approvals
        if approval.at is not None and approval.at > event.at and _may_decide(facts, approval.user)
    ]
    return min(decisions, key=lambda decision: decision.at, default=None)


def _may_decide(facts: ForgeFacts, user: User) -> bool:
    return user.id != facts.request.author.id and _has_role(facts, user, Role.MAINTAINER)


def _has_role(facts: ForgeFacts, user: User, least: Role) -> bool:
    is_machine = user.id == facts.reader or _MACHINE.fullmatch(user.username)
    return not is_machine and _find_role(facts, user) >= least


def _find_role(facts: ForgeFacts, user: User) -> Role:
    return dict(facts.roles).get(user.id, Role.NONE)


def _show(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def find_merge_problem(
    request: MergeRequest, *, project: int, branch: str, source: str, parents: tuple[str, ...]
) -> str:
    """Say why a commit of the target branch is not what became of a merge request; empty if it is.

    The commit's message only says where to look; here Git and GitLab have to agree.

    Args:
        request: as GitLab has it.
        project: id of the project that releases.
        branch: its target branch.
        source: the commit.
        parents: of that commit.
    """
    place = (project, branch)
    if request.state != "merged" or (request.target_project, request.target_branch) != place:
        return f"it is not merged into {branch} of this project"
    heads = {request.sha, request.squash_commit} - {""}
    if heads & set(parents[1:]) or source in heads:
        return ""
    if source == request.merge_commit and len(parents) < 2:
        return ""
    return f"{source[:12]} is not the commit that it was merged as"


def make_seal(verdict: Verdict) -> str:
    """Return the short digest of what was judged and what the gate said, as a status shows it."""
    said = [verdict.model, verdict.key, str(verdict.outcome), list(list_refused(verdict))]
    return make_digest(said).removeprefix("sha256:")[:16]


def render_told(summary: str, verdicts: tuple[Verdict, ...], waived_by: str = "") -> str:
    """Return the description of a status: what the gate said, sealed where somebody may waive it."""
    open_ = [one for one in verdicts if one.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)]
    seals = f" [{' '.join(make_seal(one) for one in open_)}]" if open_ else ""
    return f"waived by {waived_by}: {summary}{seals}" if waived_by else f"{summary}{seals}"


def is_told(description: str, verdict: Verdict) -> bool:
    """Tell whether a status spoke of exactly this verdict; one that was cut off did not."""
    match = _SEALS.fullmatch(description)
    return match is not None and make_seal(verdict) in match[1].split()
