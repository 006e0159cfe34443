"""A planned commit comes in; its objects, and those of its tag, are in the clone, ready to push.

Dates are those of the parent: equal inputs make the very same commit, so two machines that release
the same thing cannot collide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.publish.remote import read_person
from gitops.release import PlannedCommit, ReleaseStep, StepCallback

if TYPE_CHECKING:
    from gitops.adapters.publish.clone import Clone


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The commit, and every full name to push with the object it should point to."""

    commit: str
    refs: tuple[tuple[str, str], ...]


def write_objects(clone: Clone, planned: PlannedCommit, on_step: StepCallback) -> Built:
    """Write the commit, and the tag if there is one; nothing leaves the clone."""
    with clone.repo.git.custom_environment(**_make_environment(clone, planned)):
        commit = _write_commit(clone, planned)
        on_step(ReleaseStep.COMMITTED)
        refs = [(clone.branch_ref, commit)]
        if planned.tag:
            name = f"refs/tags/{planned.tag}"
            refs.append((name, _write_tag(clone, planned, commit)))
            on_step(ReleaseStep.TAGGED)
    return Built(commit=commit, refs=tuple(refs))


def _make_environment(clone: Clone, planned: PlannedCommit) -> dict[str, str]:
    date = clone.repo.commit(planned.parent).committed_datetime.isoformat()
    person = {**read_person(clone.remote.environ), "DATE": date}
    roles = ("AUTHOR", "COMMITTER")
    return {
        **{f"GIT_{role}_{part}": text for role in roles for part, text in person.items()},
        "GIT_INDEX_FILE": str(clone.folder / "index"),
    }


def _write_commit(clone: Clone, planned: PlannedCommit) -> str:
    clone.run("read-tree", planned.parent)
    content = clone.folder / "content"
    for path, data in planned.files:
        content.write_bytes(data)
        blob = clone.run("hash-object", "-w", "--no-filters", "--", str(content))
        clone.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = clone.run("write-tree")
    return clone.run("commit-tree", tree, "-p", planned.parent, "-F", _message(clone, planned))


def _write_tag(clone: Clone, planned: PlannedCommit, commit: str) -> str:
    clone.run("tag", "--force", "-a", "-F", _message(clone, planned), planned.tag, commit)
    return clone.run("rev-parse", "--verify", f"refs/tags/{planned.tag}")


def _message(clone: Clone, planned: PlannedCommit) -> str:
    file = clone.folder / "message"
    file.write_text(planned.message, encoding="utf-8")
    return str(file)
