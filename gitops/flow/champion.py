"""The target branch comes in; the model in production, its bundle in the store, goes out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gitops.adapters import dvc
from gitops.config import ModelConfig
from gitops.errors import InputError
from gitops.flow.preparing import FETCH_TIMEOUT
from gitops.flow.workspace import Workspace
from gitops.manifest import MANIFEST_LIMIT, ReleaseManifest, parse_version
from gitops.pointer import Pointer, check_outside, parse_pointer, paths_to_check
from gitops.release import make_tag, parse_carried
from gitops.run import Champion


def read_champion(workspace: Workspace, model: ModelConfig) -> tuple[Champion | None, str]:
    """Return the champion, or None and why there is none.

    Its bundle is fetched by hash and compared with the manifest that was committed with it.
    """
    commit = workspace.request.target
    if not commit:
        return None, "there is no target branch yet"
    carried = read_carried(workspace, commit, model)
    if carried is None:
        return None, "no release of this model is on the target branch yet"
    pointer, manifest = carried
    if not workspace.store.find("bundles", manifest.bundle).exists():
        _fetch_bundle(workspace, pointer, manifest)
    champion = Champion(
        version=make_tag(model.name, parse_version(manifest.version)),
        commit=commit,
        source=manifest.source,
        bundle=manifest.bundle,
        holdout=manifest.holdout,
    )
    return champion, ""


def read_carried(
    workspace: Workspace, commit: str, model: ModelConfig
) -> tuple[Pointer, ReleaseManifest] | None:
    """Return the model pointer and manifest that a commit carries, None when it has neither.

    Raises InputError when only one of them is there, or they contradict each other.
    """
    paths = (model.pointer, model.manifest)
    contents = workspace.repository.read_files(commit, paths, limit=MANIFEST_LIMIT)
    content = contents.get(model.pointer)
    carried = parse_carried(content, contents.get(model.manifest), config=model, commit=commit)
    if carried is None or content is None:
        return None
    pointer = parse_pointer(content, model.pointer)
    check_outside(pointer, workspace.repository.read_modes(commit, paths_to_check(pointer)))
    return pointer, carried.manifest


def _fetch_bundle(workspace: Workspace, pointer: Pointer, manifest: ReleaseManifest) -> None:
    from gitops.serving.bundle import make_digest

    with tempfile.TemporaryDirectory(prefix="gitops-champion-") as scratch:
        folder = dvc.fetch(
            workspace.remote,
            pointer,
            cache=workspace.cache,
            repository=workspace.root,
            destination=Path(scratch) / "bundle",
            timeout=FETCH_TIMEOUT,
        )
        if make_digest(folder) != manifest.bundle:
            raise InputError(
                "the model's bytes are not the ones that its manifest names", where=pointer.path
            )
        workspace.store.write_copy("bundles", manifest.bundle, folder)
