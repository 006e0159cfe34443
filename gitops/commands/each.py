"""Names of models and one piece of work come in; it is done for each, and the worst exit code goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gitops.errors import ExitCode, GitopsError

# From worst to best: what is certainly wrong, then what a retry may mend, then what a person decides.
_WORST_FIRST = (
    ExitCode.BAD_INPUT,
    ExitCode.GATE_SAID_NO,
    ExitCode.OUTSIDE_WORLD,
    ExitCode.UNDECIDED,
    ExitCode.DONE,
)


def for_each(models: Sequence[str], work: Callable[[str], int]) -> int:
    """Do the work for every model; one that fails does not keep the others from theirs.

    With a single model its error goes on to the caller; with several each is told where it happens.
    """
    codes = []
    for model in models:
        try:
            codes.append(work(model))
        except GitopsError as error:
            if len(models) == 1:
                raise
            codes.append(explain(model, error))
    return find_worst(codes)


def find_worst(codes: Iterable[int]) -> int:
    """Return the worst of several exit codes; none at all is done."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.DONE)


def explain(model: str, error: GitopsError) -> ExitCode:
    """Print why one of several models failed; return its exit code."""
    from gitops import log

    log.say(f"error: {model}: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
    return error.exit_code
