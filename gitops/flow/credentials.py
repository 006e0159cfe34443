"""The name of a secret comes in; its value, from a variable or from a file that one names, goes out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gitops.errors import InputError

SECRET_LIMIT = 1 << 16
GIT_TOKEN = "GITOPS_GIT_TOKEN"  # noqa: S105 - the name of a variable
GIT_USER = "GITOPS_GIT_USER"
KFP_TOKEN = "GITOPS_KFP_TOKEN"  # noqa: S105 - the name of a variable
KUBE_TOKEN = "GITOPS_KUBE_TOKEN"  # noqa: S105 - the name of a variable
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


def make_git_environ(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """Return an environment whose token, if it has one, git sends to this address's host and nowhere else.

    It travels as a setting by environment: never in an address, an argument or a file.
    """
    parts = urlsplit(url)
    token = read_secret(environ, GIT_TOKEN)
    if not token or parts.scheme not in {"http", "https"}:
        return dict(environ)
    pair = f"{environ.get(GIT_USER) or 'oauth2'}:{token}"
    header = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
    number = int(environ.get("GIT_CONFIG_COUNT") or "0")
    return {
        **environ,
        f"GIT_CONFIG_KEY_{number}": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
        f"GIT_CONFIG_VALUE_{number}": header,
        "GIT_CONFIG_COUNT": str(number + 1),
    }


def _read_file(path: Path, name: str) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(SECRET_LIMIT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("this secret cannot be read", where=f"{name}={path}") from error
    if not text:
        raise InputError("this secret is empty", where=f"{name}={path}")
    return text
