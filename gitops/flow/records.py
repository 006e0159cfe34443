"""A model pointer that a change touches comes in; whether a release wrote it, and not a person, goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitops.config import ModelConfig
from gitops.errors import InputError
from gitops.flow.workspace import Workspace
from gitops.manifest import MANIFEST_LIMIT, parse_version
from gitops.plan import Refusal
from gitops.release import Carried, make_tag, parse_carried, parse_tag


def find_forged(
    workspace: Workspace, model: ModelConfig, touched: Sequence[str]
) -> Iterable[Refusal]:
    """Refuse outputs that are not, byte for byte, those of the release tag that they name.

    Outputs never trigger training, so whoever could write them by hand would deploy unjudged bytes.
    """
    try:
        here = read_release(workspace, model, workspace.request.head)
        if here is None:
            yield _refuse(touched, f"the model pointer of {model.name} is removed by hand")
            return
        tag = make_tag(model.name, parse_version(here.manifest.version))
        commit = workspace.repository.find_commit(f"refs/tags/{tag}")
        there = read_release(workspace, model, commit) if commit else None
    except InputError as error:
        yield Refusal(where=error.where, what=error.what, hint=error.hint)
        return
    if there is None:
        yield _refuse(touched, f"no tag {tag} is here to vouch for it", "git fetch --tags")
    elif (here.pointer, here.manifest) != (there.pointer, there.manifest):
        yield _refuse(touched, f"it differs from what {tag} released")


def _refuse(touched: Sequence[str], what: str, hint: str = "") -> Refusal:
    return Refusal(
        where=touched[0],
        what=f"only a release writes this file: {what}",
        hint=hint or f"git checkout <target branch> -- {' '.join(touched)}",
    )


def read_release(workspace: Workspace, model: ModelConfig, commit: str) -> Carried | None:
    """Return the release that a commit carries for a model, None when it has none."""
    contents = workspace.repository.read_files(
        commit, (model.pointer, model.manifest), limit=MANIFEST_LIMIT
    )
    return parse_carried(
        contents.get(model.pointer), contents.get(model.manifest), config=model, commit=commit
    )


def find_release(
    workspace: Workspace, model: ModelConfig, fingerprint: str
) -> tuple[str, bool] | None:
    """Return the tag that released these inputs, and whether the target branch carries it now."""
    current = read_release(workspace, model, workspace.request.target or workspace.request.head)
    for tag in reversed(workspace.repository.read_tags(f"{model.name}@v*")):
        if parse_tag(tag.name) is None:
            continue
        carried = read_release(workspace, model, tag.commit)
        if carried is not None and carried.manifest.fingerprint == fingerprint:
            return tag.name, current is not None and current.manifest == carried.manifest
    return None
