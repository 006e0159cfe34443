"""A picture comes in; the Markdown that shows it from the project's own uploads goes out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops.adapters.gitlab.connection import make_path
from gitops.adapters.gitlab.parsing import parse_upload
from gitops.adapters.gitlab.trouble import UnclearError
from gitops.errors import InputError, OutsideError

if TYPE_CHECKING:
    from gitops.adapters.gitlab.connection import Connection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}\.(?:png|svg)")
_URL = re.compile(r"/uploads/[0-9a-f]{32,}/[A-Za-z0-9_.-]+")


def upload(connection: Connection, project: int | str, name: str, content: bytes) -> str:
    """Return Markdown such as `![rows](/uploads/0f…/rows.png)`.

    Nothing tells afterwards whether a lost upload happened, so only one that was refused is repeated.

    Raises:
        InputError: the name is no plain picture name.
        OutsideError: GitLab does not take it, or answers with another address than an upload.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot name an upload", hint="letters, digits, _ and -, .png")
    url = _post(connection, make_path("projects", project, "uploads"), name, content)
    if not _URL.fullmatch(url):
        raise OutsideError("GitLab's answer has no address of an upload", where=name)
    return f"![{name.rpartition('.')[0]}]({url})"


def _post(connection: Connection, path: str, name: str, content: bytes) -> str:
    attempt = 1
    while True:
        try:
            return parse_upload(connection.upload_once(path, name, content))
        except UnclearError as error:
            if not error.is_undone:
                raise
            connection.wait(error, attempt)
        attempt += 1
