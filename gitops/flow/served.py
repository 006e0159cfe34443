"""The manifests of served models that a change touches come in; which of them no rollout wrote goes out.

Argo CD or Flux may apply what lies there, and outputs of the flow train nothing: who could write
one by hand would serve bytes that nobody judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gitops.change import ChangeSet, make_served_paths
from gitops.config import Config, ModelConfig
from gitops.errors import InputError, RefusedError
from gitops.flow.records import read_release
from gitops.flow.workspace import Workspace
from gitops.inference import make_origin, render_bytes, render_service
from gitops.manifest import parse_version
from gitops.plan import Refusal
from gitops.release import Carried, make_release, make_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What was reviewed already: the commits of the target branch to compare with."""

    workspace: Workspace
    commits: tuple[str, ...]

    def find_model(self, name: str) -> ModelConfig | None:
        """Return a model as the target branch defines it, None when it has none of the name."""
        return next((m for m in self.workspace.settled.models if m.name == name), None)


def find_edited(workspace: Workspace, changes: ChangeSet) -> Iterator[Refusal]:
    """Refuse each touched manifest that is not as the target branch has it, nor as a rollout writes it.

    A manifest may move with `rollout.folder` or `serve.name`, and go with its model.
    """
    owners = _find_owners(workspace)
    paths = {path for change in changes.files for path in (change.path, change.old_path)}
    touched = sorted(owners.keys() & paths)
    if not touched:
        return
    settled = _read_settled(workspace)
    for path in touched:
        what = _judge(settled, path, owners[path])
        if what:
            yield Refusal(
                where=path,
                what=f"only a rollout writes this file: {what}",
                hint=f"git checkout <target branch> -- {path}; "
                "what should be served otherwise is said in gitops.yaml, or by gitops rollback",
            )


def _find_owners(workspace: Workspace) -> Mapping[str, str]:
    """Return the model of each manifest, by path: the target branch's, and those of the change itself."""
    found = {**_list_served(workspace.config), **_list_served(workspace.settled)}
    return {path: model.name for path, model in found.items()}


def _list_served(config: Config) -> dict[str, ModelConfig]:
    return {path: m for m in config.models for path in make_served_paths(config.kserve, m)}


def _read_settled(workspace: Workspace) -> _Settled:
    head, target = workspace.request.head, workspace.request.target
    # Where the two part is on the target branch too, and is what an older head has.
    parting = workspace.repository.find_merge_base(head, target).commit if target else None
    return _Settled(workspace=workspace, commits=tuple(filter(None, (target, parting))))


def _judge(settled: _Settled, path: str, model: str) -> str:
    """Say what is wrong with a manifest at the head commit; an empty text when nothing is."""
    try:
        is_written = _is_written(settled, path, model)
    except (InputError, RefusedError) as error:
        return str(error)
    return "" if is_written else f"it is not what serves {model}"


def _is_written(settled: _Settled, path: str, model: str) -> bool:
    """Tell whether a rollout wrote what the head commit has; RefusedError when it was removed."""
    head, repository = settled.workspace.request.head, settled.workspace.repository
    content = repository.read_file(head, path)
    if content is not None:
        return content in _read_reviewed(settled, path, model) or content in _render(settled, model)
    if path in _list_served(settled.workspace.config):
        raise RefusedError(f"it is removed by hand, and gitops.yaml still serves {model}")
    return True


def _read_reviewed(settled: _Settled, path: str, model: str) -> Iterator[bytes]:
    """Yield what the target branch has there, or where its own gitops.yaml has this model's manifest."""
    workspace = settled.workspace
    own = {p for p, m in _list_served(workspace.settled).items() if m.name == model}
    for commit in settled.commits:
        yield from workspace.repository.read_files(commit, {path, *own}).values()


def _render(settled: _Settled, name: str) -> Iterable[bytes]:
    """Return what a rollout would write for the release that the head commit carries."""
    workspace, model = settled.workspace, settled.find_model(name)
    kserve = workspace.settled.kserve
    if model is None or kserve is None:
        return ()
    from gitops.adapters.publish import read_origin  # it loads GitPython, and this is seldom needed

    origin = make_origin(read_origin(workspace.root))
    return tuple(
        render_bytes(render_service(model, kserve, make_release(carried, created=False), origin))
        for carried in _find_carried(settled, model)
    )


def _find_carried(settled: _Settled, model: ModelConfig) -> Iterator[Carried]:
    """Yield the release at the head commit, as of its tag and as of the commit that last restored it."""
    here = read_release(settled.workspace, model, settled.workspace.request.head)
    registered = here and _find_registered(settled.workspace, model, here.manifest.version)
    if here is None or not registered:
        return
    for commit in dict.fromkeys((registered, *_find_restored(settled, model))):
        there = read_release(settled.workspace, model, commit)
        if there and (there.pointer, there.manifest) == (here.pointer, here.manifest):
            yield there


def _find_registered(workspace: Workspace, model: ModelConfig, version: str) -> str | None:
    return workspace.repository.find_commit(
        f"refs/tags/{make_tag(model.name, parse_version(version))}"
    )


def _find_restored(settled: _Settled, model: ModelConfig) -> Iterator[str]:
    for commit in settled.commits:
        paths = (model.pointer, model.manifest)
        yield from filter(None, [settled.workspace.repository.find_last_change(commit, paths)])
