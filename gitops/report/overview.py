"""The reports of a merge request's models come in; the one note about all of them goes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.gate.verdict import Outcome
from gitops.report.escape import render_code, render_fence, render_prose
from gitops.report.page import label_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.plan import Refusal

_URGENCY = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+")
_WAIVER, _FAILURE = 800, 10_000
NO_VERDICT = "its job ended before the gate could judge it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What is known about one planned model.

    Attributes:
        model: its name.
        outcome: the verdict, None when the gate did not come to one.
        text: the Markdown of its report, as the renderer wrote it; empty without a verdict.
        picture: Markdown of its picture among the project's uploads, or empty.
        waiver: who waives its verdict on GitLab, or what has to happen for that; plain text.
        waived_by: user who does, such as `@mara`; empty when nobody does.
        failure: what its run said when it failed, the step's last lines; hostile, empty if unknown.
    """

    model: str
    outcome: Outcome | None
    text: str = ""
    picture: str = ""
    waiver: str = ""
    waived_by: str = ""
    failure: str = ""


def find_worst(reports: Sequence[ModelReport]) -> Outcome:
    """Return the outcome of all together; a model without a verdict is no pass."""
    outcomes = {_decided(report) for report in reports}
    return next((one for one in _URGENCY if one in outcomes), Outcome.PASS)


def _decided(report: ModelReport) -> Outcome:
    known = report.outcome in (Outcome.PASS, Outcome.INCONCLUSIVE)
    return report.outcome if known and report.outcome else Outcome.FAIL


def render_summary(reports: Sequence[ModelReport]) -> str:
    """Return one line of plain text, such as ``fuel: PASS, wear: no verdict``."""
    return ", ".join(f"{one.model}: {_label(one)}" for one in reports) or "nothing to run"


def _label(report: ModelReport) -> str:
    return label_outcome(report.outcome) if report.outcome else "no verdict"


def render_overview(
    reports: Sequence[ModelReport], *, skipped: Sequence[tuple[str, str]], commit: str, link: str
) -> str:
    """Return the body of the note: the worst first, and where it comes from.

    Args:
        reports: of the planned models.
        skipped: name and reason of every model that nothing happens to.
        commit: head of the merge request.
        link: address of the pipeline; left out unless it is a plain one.
    """
    ordered = sorted(reports, key=lambda one: (_URGENCY.index(_decided(one)), one.model))
    blocks = [_render_model(report, alone=len(reports) == 1) for report in ordered]
    if not reports:
        blocks.append("**Nothing to run.**")
    blocks.append("\n".join(f"- {render_code(name)}: {render_prose(why)}" for name, why in skipped))
    blocks.append(_render_origin(commit, link))
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def render_refusals(refusals: Sequence[Refusal], *, commit: str, link: str) -> str:
    """Return the body of the note when the plan refuses something: nothing was run."""
    lines = "\n".join(_render_refusal(refusal) for refusal in refusals)
    origin = _render_origin(commit, link)
    return f"❌ **REFUSED**: nothing was run.\n\n{lines}\n\n{origin}\n"


def _render_refusal(refusal: Refusal) -> str:
    hint = f"  \n  Next: {render_code(refusal.hint)}" if refusal.hint else ""
    return f"- {render_code(refusal.where)}: {render_prose(refusal.what)}{hint}"


def _render_model(report: ModelReport, *, alone: bool) -> str:
    title = "" if alone else f"### {render_code(report.model)}\n\n"
    if report.outcome is None:
        why = f"❌ **NO VERDICT** for {render_code(report.model)}: {NO_VERDICT}."
        return f"{title}{why}{_render_failure(report.failure)}"
    picture = f"\n\n{report.picture}" if report.picture else ""
    waiver = f"\n\n{render_prose(report.waiver, limit=_WAIVER)}" if report.waiver else ""
    return f"{title}{report.text.rstrip()}{waiver}{picture}"


def _render_failure(text: str) -> str:
    """Return what a failed run said last as a code block; code of the merge request may have written it."""
    said = text[:_FAILURE].strip()
    return f"\n\nIts run failed, and said last:\n\n{render_fence(said, 'text')}" if said else ""


def _render_origin(commit: str, link: str) -> str:
    where = f" in [this pipeline]({link})" if _LINK.fullmatch(link) else ""
    return f"Commit {render_code(commit[:12])}{where}."
