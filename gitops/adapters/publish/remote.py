"""An address and the caller's environment come in; how git is to be run there goes out."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HARDENED = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("protocol.ext.allow", "never"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("tag.gpgSign", "false"),
)
_KEPT = ("HOME", "PATH", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRemote:
    """Where releases go, and as whom.

    Attributes:
        url: address of the repository; credentials in it travel by environment only.
        branch: the target branch.
        environ: the caller's environment; `GIT_CONFIG_*`, `GIT_COMMITTER_*` and ssh settings count.
        timeout: seconds that one exchange with the remote may take.
    """

    url: str
    branch: str
    environ: Mapping[str, str]
    timeout: float = 120.0


def read_origin(checkout: Path) -> str:
    """Return the address of the checkout's `origin`; raise InputError when there is none."""
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        with Repo(checkout, search_parent_directories=True) as repo:
            url = next((remote.url for remote in repo.remotes if remote.name == "origin"), "")
            root = Path(repo.working_dir)
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise InputError("not a Git repository", where=str(checkout)) from error
    if not url:
        raise InputError(
            "the repository has no remote to release to",
            where=str(checkout),
            hint="run: git remote add origin URL",
        )
    # A relative path is meant from the checkout, but is used from a folder of our own.
    is_path = "://" not in url and not re.match(r"[^/]+:", url)
    return str((root / url).resolve()) if is_path else str(url)


def split_credentials(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return an http(s) address without credentials, and the settings that carry them instead."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url, ()
    person, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit(parts._replace(netloc=host))
    pair = person if ":" in person else f"{person}:"
    token = base64.b64encode(pair.encode()).decode()
    return clean, ((f"http.{clean}.extraHeader", f"Authorization: Basic {token}"),)


def redact(text: str) -> str:
    """Return text without credentials in addresses or headers."""
    without = re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
    return re.sub(r"(?i)((?:authorization|private-token|job-token):).*", r"\1 ***", without)


def read_last_lines(text: str) -> str:
    """Return the end of what git said, as one line fit for an error message."""
    quoted = re.sub(r"(?m)^\s*std(out|err): '|'$", "", redact(text))
    lines = [line.strip() for line in re.sub(r"(?m)^!\t.*\t\[", "[", quoted).splitlines()]
    idle = ("Done", "To ", "error: failed to push some refs")
    told = dict.fromkeys(line for line in lines if line and not line.startswith(idle))
    return " | ".join([*told][-4:])[:600]


def read_person(environ: Mapping[str, str]) -> dict[str, str]:
    """Return who commits."""
    return {
        "NAME": environ.get("GIT_COMMITTER_NAME", "gitops"),
        "EMAIL": environ.get("GIT_COMMITTER_EMAIL", "gitops@localhost"),
    }


def make_environment(
    environ: Mapping[str, str], credentials: tuple[tuple[str, str], ...], bare: Path
) -> dict[str, str]:
    """Return the environment of every git process: the caller's settings, then ours, which win."""
    settings = [*_read_settings(environ), *credentials, *_HARDENED]
    numbered: dict[str, str] = {}
    for i, (key, value) in enumerate(settings):
        numbered |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
    return {
        **{name: environ[name] for name in _KEPT if name in environ},
        **numbered,
        "GIT_CONFIG_COUNT": str(len(settings)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(bare),
        "GIT_OBJECT_DIRECTORY": str(bare / "objects"),
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _read_settings(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    count = environ.get("GIT_CONFIG_COUNT") or "0"
    names = [(f"GIT_CONFIG_KEY_{i}", f"GIT_CONFIG_VALUE_{i}") for i in range(int(count))]
    return [(environ[key], environ[value]) for key, value in names]
