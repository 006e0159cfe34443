"""The text of `.dvc/config` comes in; the remote, the cache folder, a config of ours go out."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Sections = dict[str, dict[str, str]]
_Value = TypeVar("_Value")

_CONFIG = ".dvc/config"
_SECTION = re.compile(r"""\[\s*(?:'([^']*)'|"([^"]*)"|([^'"\s\[][^\]]*?))\s*\]\s*(?:\#.*)?""")
_OPTION = re.compile(r"""([^='"\[\]#]+?)\s*=\s*(.*)""")
_QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:\#.*)?""")
_REMOTE = re.compile(r"""remote\s*"(.+)\"""")
_SCHEME = re.compile(r"(\w+)://")
_USERINFO = re.compile(r"(?<=//)[^/@\s'\"]+@")
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s'\"]+")
_SECRET = re.compile(r"key|secret|password|token|sas|connection_string|header")
# DVC resolves these options against the folder of the config file that names them.
_PATHS = frozenset(
    {
        "url",
        "gdrive_user_credentials_file",
        "gdrive_service_account_json_file_path",
        "credentialpath",
        "configpath",
        "keyfile",
        "cert_path",
        "key_path",
    }
)
# With these a remote holds files under their own names, which no hash finds.
_VERSIONED = ("version_aware", "worktree")
# DVC takes what any server sends for granted unless told otherwise; for this one it cannot be told.
_NEVER_VERIFIED = frozenset({"hdfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A place for DVC objects, as the target branch and this machine configure it.

    Attributes:
        name: its name in `.dvc/config`.
        url: where it is; an absolute path or a URL, possibly with credentials in it.
        options: its other options, sorted, possibly secret.
    """

    name: str
    url: str = field(repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def folder(self) -> Path | None:
        """The folder of a remote on this machine's own disks, None for any other."""
        return None if _SCHEME.match(self.url) else Path(self.url)

    @property
    def address(self) -> str:
        """Name and URL without credentials, for messages."""
        return f"remote '{self.name}' ({self.redact(self.url)})"

    def redact(self, text: str) -> str:
        """Return the text without this remote's secrets and without credentials in any URL."""
        for key, value in self.options:
            if _SECRET.search(key) and len(value) > 3:
                text = text.replace(value, "***")
        return _QUERY.sub("?***", _USERINFO.sub("***@", text))


def read_remote(
    config_text: str, local_text: str | None, name: str | None, repository: Path
) -> Remote:
    """Return the remote called `name`, or the default one.

    Args:
        config_text: `.dvc/config` of the target branch, never of a merge request.
        local_text: this machine's own `.dvc/config.local`, for credentials.
        name: which remote; None for the default one.
        repository: root of the repository; relative paths count from its `.dvc` folder.

    Raises:
        InputError: the text cannot be parsed, names no such remote, or names a folder of the
            repository that is reached through a link.
    """
    sections = _merge(config_text, local_text)
    wanted = (name or sections.get("core", {}).get("remote", "")).lower()
    if not wanted:
        raise InputError(
            "no default DVC remote is configured on the target branch",
            where=_CONFIG,
            hint="dvc remote add --default NAME URL, then commit .dvc/config",
        )
    options = _resolve(wanted, sections, repository / ".dvc", seen=())
    if not {"false"}.issuperset(options.get(key, "false").lower() for key in _VERSIONED):
        raise InputError(
            f"the DVC remote '{wanted}' keeps versions instead of objects by hash",
            where=_CONFIG,
            hint=f"dvc remote modify {wanted} version_aware false",
        )
    url = options.pop("url")
    remote = Remote(name=wanted, url=url, options=tuple(sorted(options.items())))
    if remote.folder:
        refuse_symlinks(repository, remote.folder, hint="give the remote's real folder as its url")
    return remote


def cache_directory(config_text: str, local_text: str | None, repository: Path) -> Path:
    """Return DVC's cache folder, absolute: `cache.dir` or `.dvc/cache`; it holds `files/md5`.

    Raises:
        InputError: the text cannot be parsed, or a link inside the repository leads to the cache.
    """
    configured = _merge(config_text, local_text).get("cache", {}).get("dir", "cache")
    cache = Path(_absolute(configured, repository / ".dvc"))
    refuse_symlinks(repository, cache, hint="dvc cache dir --local FOLDER names another folder")
    return cache


def refuse_symlinks(repository: Path, path: Path, *, hint: str) -> None:
    """Refuse a path that leaves the repository's own folders through a symbolic link.

    Only components below the repository count: what lies above them nobody can commit.

    Raises:
        InputError: a component of the path, or the path itself, is a link.
    """
    if not path.is_relative_to(repository):
        return
    below = path.relative_to(repository).parts
    for count in range(1, len(below) + 1):
        step = repository.joinpath(*below[:count])
        if step.is_symlink():
            raise InputError("a symbolic link stands in the way", where=str(step), hint=hint)


def parse_config(text: str, where: str = _CONFIG) -> Sections:
    """Parse the part of DVC's config language that DVC itself writes; names in lower case.

    Raises:
        InputError: a line that is not a section, an option or a comment; a name given twice.
    """
    sections: Sections = {}
    current: dict[str, str] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line, place = raw.strip(), f"{where}:{number}"
        if not line or line.startswith("#"):
            continue
        if match := _SECTION.fullmatch(line):
            name = next(group for group in match.groups() if group is not None)
            current = _add_once(sections, _section_name(name), {}, place)
        elif (match := _OPTION.fullmatch(line)) and current is not None:
            _add_once(current, match[1].lower(), _parse_value(match[2], place), place)
        else:
            raise InputError("this line cannot be read as DVC config", where=place)
    return sections


def render_config(remote: Remote | None, cache: Path | None) -> str:
    """Return the whole config of an isolated workspace: one cache, its own if None, one remote."""
    sections = {
        "core": {"no_scm": "true", "analytics": "false", "check_update": "false"},
        "cache": {"type": "copy"} | ({"dir": str(cache)} if cache else {}),
    }
    if remote:
        sections["core"]["remote"] = remote.name
        sections[_quote(f'remote "{remote.name}"')] = _all_options(remote)
    lines = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"    {key} = {_quote(values[key])}" for key in sorted(values)]
    return "\n".join(lines) + "\n"


def _merge(config_text: str, local_text: str | None) -> Sections:
    sections = parse_config(config_text)
    for name, options in parse_config(local_text or "", ".dvc/config.local").items():
        sections[name] = sections.get(name, {}) | options
    return sections


def _add_once(into: dict[str, _Value], name: str, value: _Value, place: str) -> _Value:
    if name in into:
        raise InputError(f"'{name}' is given twice", where=place)
    into[name] = value
    return value


def _section_name(text: str) -> str:
    match = _REMOTE.fullmatch(text.strip().lower())
    return f"remote {match[1]}" if match else text.strip().lower()


def _parse_value(text: str, place: str) -> str:
    if text.startswith(("'", '"')):
        match = _QUOTED.fullmatch(text)
        if not match or text.startswith(("'''", '"""')):
            raise InputError("the quotes of this value do not match", where=place)
        value = match[2]
    else:
        value = text.partition("#")[0].strip()
    if "%(" in value:
        raise InputError("values that refer to other values are not supported", where=place)
    return value


def _resolve(
    name: str, sections: Mapping[str, dict[str, str]], folder: Path, *, seen: tuple[str, ...]
) -> dict[str, str]:
    """Return the options of a remote, following `remote://other/path` as DVC does."""
    options = sections.get(f"remote {name}")
    if options is None or not options.get("url"):
        known = [key.removeprefix("remote ") for key in sections if key.startswith("remote ")]
        raise InputError(
            f"there is no DVC remote '{name}' with a url on the target branch",
            where=_CONFIG,
            hint=f"configured there: {', '.join(sorted(known)) or 'none'}",
        )
    if name in seen:
        raise InputError(f"the DVC remote '{name}' refers to itself", where=_CONFIG)
    found = {
        key: _absolute(value, folder) if key in _PATHS else value for key, value in options.items()
    }
    url = urlsplit(found["url"])
    if url.scheme != "remote":
        return found
    parent = _resolve(url.netloc.lower(), sections, folder, seen=(*seen, name))
    joined = f"{parent['url'].rstrip('/')}/{url.path.lstrip('/')}"
    return parent | found | {"url": joined}


def _absolute(value: str, folder: Path) -> str:
    if _SCHEME.match(value):
        return value
    # `normpath`, unlike `Path.resolve`, does not ask the disk what is a link.
    return os.path.normpath(folder / Path(value).expanduser())


def _all_options(remote: Remote) -> dict[str, str]:
    match = _SCHEME.match(remote.url)
    is_told = match is not None and match[1] not in _NEVER_VERIFIED
    verify = {"verify": "true"} if is_told else {}
    return dict(remote.options) | {"url": remote.url} | verify


def _quote(value: str) -> str:
    for mark in ('"', "'"):
        if mark not in value:
            return f"{mark}{value}{mark}"
    raise InputError("a value with both kinds of quotes is not supported", where=_CONFIG)
