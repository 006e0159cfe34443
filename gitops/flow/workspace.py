"""A repository, a head commit and the environment come in; everything that stages share goes out.

Two configs are read, never mixed: the head commit's says what to run, the target branch's says how
it is judged, where its data lies and what is in production.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops.adapters import documents
from gitops.adapters.ci import read_ci
from gitops.adapters.git.repository import GitRepository
from gitops.adapters.store import Store, open_store
from gitops.config import CONFIG_PATH, Config, ModelConfig, Zone
from gitops.errors import InputError

if TYPE_CHECKING:
    from gitops.adapters.dvc import Remote

DOCUMENTS = ".gitops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What names a piece of work completely; it travels into pipeline steps as JSON.

    Attributes:
        repository: root of the checkout.
        head: commit to work on.
        target: commit of the target branch, empty when the repository has none yet.
        target_branch: its name, or the revision that was named instead.
        zone: part of the store to use.
        merge_request: reference of the merge request, empty outside one.
        model: name of the model, empty when the work is about all of them.
        documents: folder for the documents of the stages.
        origin: address of the repository for steps that share no folder with the caller; they make
            a checkout of their own. Empty where they do.
        run: name of the run on a cluster, which its documents are kept under.
    """

    repository: str
    head: str
    target: str
    target_branch: str
    zone: Zone
    merge_request: str = ""
    model: str = ""
    documents: str = DOCUMENTS
    origin: str = ""
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON."""
        return asdict(self)


def request_from_json(body: Mapping[str, Any]) -> Request:
    """Read a request back inside a step; what the pipeline added for its steps is left aside."""
    own = {field.name: body[field.name] for field in fields(Request) if field.name in body}
    return Request(**{**own, "zone": Zone(own["zone"])})


class Workspace:
    """One repository at one commit, seen from one zone; reads lazily and keeps what it read."""

    def __init__(self, request: Request, repository: GitRepository | None = None) -> None:
        self.request = request
        self.root = Path(request.repository)
        self.repository = repository or GitRepository(self.root)

    @cached_property
    def config(self) -> Config:
        """The head commit's gitops.yaml; InputError says how to begin when there is none."""
        config = self.read_config(self.request.head)
        if config is None:
            raise InputError(
                f"there is no {CONFIG_PATH} at {self.request.head[:10]}",
                hint=f"write {CONFIG_PATH} and commit it; the README shows one",
            )
        return config

    @cached_property
    def target_config(self) -> Config | None:
        """The target branch's gitops.yaml, None when it has none yet."""
        return self.read_config(self.request.target) if self.request.target else None

    @cached_property
    def settled(self) -> Config:
        """The config that no merge request can change: the target branch's, if it has one yet."""
        return self.target_config or self.config

    def read_config(self, commit: str) -> Config | None:
        """Read and validate gitops.yaml at a commit, None when the commit has none."""
        return read_config(self.repository, commit)

    @cached_property
    def store(self) -> Store:
        """The result store of this zone.

        Where it lies the target branch says, never a merge request; at a desk, what is checked out.
        """
        config = self.config if self.request.zone is Zone.LOCAL else self.settled
        return open_store(self.root, config.store, self.request.zone)

    @cached_property
    def remote(self) -> Remote:
        """The DVC remote as the target branch defines it."""
        from gitops.adapters import dvc

        named = self.settled.remote
        return dvc.read_remote(*self.dvc_config, named, self.root)

    @cached_property
    def dvc_config(self) -> tuple[str, str | None]:
        """The target branch's `.dvc/config`, and this machine's own `.dvc/config.local`.

        A `config.local` that Git tracks came with the repository: it is nobody's own, and ignored.
        """
        path = ".dvc/config"
        commit = self.request.target or self.request.head
        content = self.repository.read_file(commit, path) or b""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8 text", where=f"{commit[:10]}:{path}") from error
        local = self.root / f"{path}.local"
        is_tracked = self.repository.read_entries(self.request.head, [f"{path}.local"])
        return text, None if is_tracked or not local.is_file() else local.read_text("utf-8")

    @cached_property
    def cache(self) -> Path:
        """The folder of the repository's DVC cache."""
        from gitops.adapters import dvc

        return dvc.cache_directory(*self.dvc_config, self.root)

    @cached_property
    def folder(self) -> Path:
        """The folder for documents that concern all models; Git is told to leave it alone."""
        folder = self.root / self.request.documents
        ignore = folder / ".gitignore"
        if not ignore.exists():
            documents.write_file(ignore, "*\n")
        return folder

    def document(self, model: str, name: str) -> Path:
        """Return the path of a model's document."""
        return self.folder / model / name

    def model(self, name: str) -> ModelConfig:
        """Return the head commit's definition of a model."""
        return self.config.model(name)


def open_workspace(
    start: Path, environ: Mapping[str, str], *, head: str = "HEAD", target: str | None = None
) -> Workspace:
    """Find the repository around `start` and settle head, target branch and zone."""
    repository = GitRepository.find(start)
    context = read_ci(environ)
    head_commit = repository.read_commit(head)
    branch = target or context.target_branch or _configured_branch(repository, head_commit)
    request = Request(
        repository=str(repository.path),
        head=head_commit,
        target=_find_target(repository, branch, named=target is not None),
        target_branch=branch,
        zone=context.zone,
        merge_request=context.merge_request,
    )
    return Workspace(request, repository)


def _configured_branch(repository: GitRepository, head: str) -> str:
    config = read_config(repository, head)
    return config.target_branch if config else "main"


def read_config(repository: GitRepository, commit: str) -> Config | None:
    """Read and validate gitops.yaml at a commit, None when the commit has none."""
    content = repository.read_file(commit, CONFIG_PATH)
    return None if content is None else documents.parse_config(content)


def _find_target(repository: GitRepository, branch: str, *, named: bool) -> str:
    """Return the target branch's commit, fetched if a shallow clone lacks it; empty when there is none."""
    tracking = f"refs/remotes/origin/{branch}"
    for name in (tracking, f"refs/heads/{branch}", *([branch] if named else [])):
        commit = repository.find_commit(name)
        if commit is not None:
            return commit
    if named:
        return repository.read_commit(branch)
    if repository.is_shallow():
        options = ("--depth=1",)
        repository.fetch("origin", [f"+refs/heads/{branch}:{tracking}"], options=options)
    return repository.find_commit(tracking) or ""
