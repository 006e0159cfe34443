"""The name of a secret comes in; its value, from a variable or from a file that one names, goes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gitops.errors import InputError

SECRET_LIMIT = 1 << 16
GITLAB_TOKEN = "GITOPS_GITLAB_TOKEN"  # noqa: S105 - the name of a variable


def read_secret(environ: Mapping[str, str], name: str) -> str:
    """Return `$NAME`, or the content of the file that `$NAME_FILE` names; empty when neither is set.

    Raises:
        InputError: both are set, or the file cannot be read. No message shows the secret.
    """
    value, file = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if value and file:
        raise InputError(f"{name} and {name}_FILE are both set", hint=f"unset {name}")
    return _read_file(Path(file), f"{name}_FILE") if file else value.strip()


def need_secret(environ: Mapping[str, str], name: str) -> str:
    """Return what `read_secret` finds; raise InputError when there is none."""
    secret = read_secret(environ, name)
    if not secret:
        raise InputError(
            f"{name} is not set", hint=f"set {name}, or {name}_FILE to a file that holds it"
        )
    return secret


def _read_file(path: Path, name: str) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(SECRET_LIMIT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("this secret cannot be read", where=f"{name}={path}") from error
    if not text:
        raise InputError("this secret is empty", where=f"{name}={path}")
    return text
