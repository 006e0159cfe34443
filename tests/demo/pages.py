"""The accounts of a demo come in; `report.html`, the story with every report in it, goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.gate.verdict import Outcome
from gitops.report.story import Chapter, render_story
from tests.demo.story import End

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.epilogue import Epilogue
    from tests.demo.play import Account

TITLE = "From a changed pointer to a served model"
_OUTCOMES = {
    End.PASS: Outcome.PASS,
    End.FAIL: Outcome.FAIL,
    End.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    End.REFUSED: Outcome.FAIL,
    End.SKIPPED: Outcome.NOT_APPLICABLE,
}
_GISTS = {
    End.PASS: "merged",
    End.FAIL: "blocked",
    End.INCONCLUSIVE: "a person decides",
    End.REFUSED: "refused before training",
    End.SKIPPED: "nothing to run",
}


def write_pages(
    folder: Path, accounts: list[Account], epilogue: Epilogue | None, seconds: float
) -> None:
    """Write the story of all merge requests as one page."""
    introduction = (
        (
            "Eleven merge requests to a repository that predicts how far a car drives on a gallon. "
            "Each was a real branch, merged, released and served only if the gate, or a person who "
            "signed for it, let it."
        ),
        f"It took {seconds:.0f} seconds on one machine.",
    )
    text = render_story(
        title=TITLE,
        introduction=introduction,
        chapters=[make_chapter(account) for account in accounts],
        closing=[make_closing(epilogue)] if epilogue else [],
    )
    (folder / "report.html").write_text(text, "utf-8")


def make_chapter(account: Account) -> Chapter:
    """Return the chapter of one merge request; the output stands in where there is no report."""
    reason = "" if account.pages else f" {_sentence(account.reason)}"
    gist = f"released as {account.released}" if account.released else _GISTS[account.end]
    return Chapter(
        title=account.request.name,
        text=f"“{account.request.title}.” {account.request.tale}{reason}",
        outcome=_OUTCOMES[account.end],
        gist=gist,
        lines=() if account.pages else account.lines,
        pages=account.pages,
        seconds=account.seconds,
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def make_closing(epilogue: Epilogue) -> Chapter:
    """Return what happened after the merge requests."""
    before, after = epilogue.before, epilogue.after
    return Chapter(
        title="A prediction, and a rollback",
        text="A 1976 Audi 100 of 2448 pounds asks; its maker says 25.0 miles per gallon. Then the "
        "release is rolled back, and the model before it answers the same request.",
        outcome=Outcome.FAIL if epilogue.problems else Outcome.PASS,
        gist=f"{before.model} back to {after.model}",
        lines=tuple(
            f"{answer.mpg:.1f} mpg  {answer.model}  commit {answer.commit[:10]}"
            for answer in (before, after)
        ),
    )
