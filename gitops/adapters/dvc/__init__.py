"""DVC: pointers and the target branch's remote come in; bytes checked by hash go out."""

from __future__ import annotations

from gitops.adapters.dvc.download import MissingObject, fetch, find_missing
from gitops.adapters.dvc.remote import Remote, cache_directory, read_remote
from gitops.adapters.dvc.upload import add_folder, prove, push

__all__ = [
    "MissingObject",
    "Remote",
    "add_folder",
    "cache_directory",
    "fetch",
    "find_missing",
    "prove",
    "push",
    "read_remote",
]
