"""A planned commit comes in; it is on the target branch of the remote, or nothing of it is.

The only user of GitPython. The commit is built in a repository of our own from objects, pushed
atomically and never by force, and believed only when the remote itself shows it.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from gitops.adapters.publish.clone import Clone, open_clone
from gitops.adapters.publish.reading import Question, read_file, read_target_of
from gitops.adapters.publish.remote import GitRemote, read_origin, split_credentials
from gitops.adapters.publish.writing import Built, write_objects
from gitops.errors import OutsideError
from gitops.release import (
    Carried,
    PlannedCommit,
    Release,
    ReleaseStep,
    StepCallback,
    Target,
    ignore_step,
    make_release,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "GitRemote",
    "Question",
    "publish",
    "publish_file",
    "read_origin",
    "read_target",
    "split_credentials",
]

ATTEMPTS = 8


def read_target(remote: GitRemote, question: Question) -> Target:
    """Return what the target branch says right now, read from the remote itself."""
    with open_clone(remote) as clone:
        return read_target_of(clone, question)


def publish(
    remote: GitRemote,
    question: Question,
    plan: Callable[[Target], PlannedCommit | Release],
    *,
    on_step: StepCallback = ignore_step,
) -> Release:
    """Put what `plan` makes of the target branch on it, planning anew whenever a race was lost.

    `plan` may return a Release when there is nothing to do, or raise to give up. Raises
    OutsideError when the remote refuses or stays contended; then nothing of it is there.
    """
    with open_clone(remote) as clone:
        return _publish(clone, lambda: plan(read_target_of(clone, question)), on_step)


def publish_file(
    remote: GitRemote,
    question: Question,
    path: str,
    plan: Callable[[Target, bytes | None], PlannedCommit | Release],
) -> Release:
    """Do the same for a commit of one file, whose content on the branch `plan` gets beside the target.

    The release returned names the commit that now carries the file, if one had to be made.
    """
    with open_clone(remote) as clone:

        def plan_now() -> PlannedCommit | Release:
            target = read_target_of(clone, question)
            return plan(target, read_file(clone, target.commit, path))

        return _publish(clone, plan_now, ignore_step)


def _publish(
    clone: Clone, plan: Callable[[], PlannedCommit | Release], on_step: StepCallback
) -> Release:
    for attempt in range(ATTEMPTS):
        planned = plan()
        if isinstance(planned, Release):
            return planned
        built = write_objects(clone, planned, on_step)
        if _push(clone, planned, built, on_step):
            return _make_release(planned, built)
        _wait(attempt)
    raise OutsideError(
        f"{clone.remote.branch} moved at each of {ATTEMPTS} attempts",
        hint="nothing was pushed; run it again",
    )


def _push(clone: Clone, planned: PlannedCommit, built: Built, on_step: StepCallback) -> bool:
    """Tell whether the remote has it now; False means that a race was lost."""
    pushed = clone.push(built.refs)
    on_step(ReleaseStep.PUBLISHED)
    found = clone.read_refs(*dict(built.refs))
    if _shows(clone, built, found):
        on_step(ReleaseStep.CONFIRMED)
        return True
    if not (pushed.contended or _has_moved(clone, planned, found)):
        raise OutsideError(
            f"the remote did not take the commit: {pushed.complaint or 'it gave no reason'}",
            where=clone.url,
            hint="nothing was changed; check the rights on the branch and the tag, then run again",
        )
    return False


def _shows(clone: Clone, built: Built, found: dict[str, str]) -> bool:
    """Tell whether the remote has what was built; the branch may have moved on from it."""
    tip = found.get(clone.branch_ref)
    tags = [(name, sha) for name, sha in built.refs if name != clone.branch_ref]
    if tip is None or any(found.get(name) != sha for name, sha in tags):
        return False
    if tip == built.commit:
        return True
    clone.fetch(clone.branch_ref)
    return clone.is_ancestor(built.commit, tip)


def _has_moved(clone: Clone, planned: PlannedCommit, found: dict[str, str]) -> bool:
    """Tell whether somebody else's push explains why ours failed."""
    return found.get(clone.branch_ref) != planned.parent or len(found) > 1


def _make_release(planned: PlannedCommit, built: Built) -> Release:
    pointer = planned.files[0][1]
    carried = Carried(commit=built.commit, pointer=pointer, manifest=planned.manifest)
    return make_release(carried, created=True)


def _wait(attempt: int) -> None:
    time.sleep(0.05 * 2 ** min(attempt, 5) * (0.5 + secrets.randbelow(1000) / 1000))
