"""A Git server, a commit and paths come in; the small files there go out, and nothing else is fetched.

One exchange brings the commit and its folders without their files, a second one those few files.
The connection goes to addresses that were checked before, follows no redirect and uses no proxy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.adapters.git.process import LOCAL_SECONDS, NETWORK_SECONDS, run_git
from gitops.errors import InputError, OutsideError
from gitops.pointer import POINTER_BYTES, SYMLINK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# What git needs of the caller's environment. Another GIT_ variable could switch a check off.
_KEPT = re.compile(
    r"PATH|LD_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|GIT_SSL_CA(INFO|PATH)"
    r"|GIT_CONFIG_(COUNT|KEY_\d+|VALUE_\d+)"
)
_QUIET = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
_ANSWERS = (
    (
        r"not our ref|unadvertised object|not a valid object|couldn't find remote ref",
        "the server does not have this commit",
        "push it, and look at the address: `git ls-remote`",
    ),
    (
        r"could not read (Username|Password)|Authentication failed|error: 40[13]",
        "the server does not accept the token",
        "set GITOPS_GIT_TOKEN or GITOPS_GIT_TOKEN_FILE to one that may read this repository",
    ),
    (
        r"not found|error: 404",
        "there is no such repository, or the token may not see it",
        "look at the address and the token's permissions",
    ),
)
_REDIRECT = re.compile(r"error: 30\d|redirect")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPlace:
    """Where a repository is, and how to get there.

    Attributes:
        url: its http(s) address, without credentials.
        host: the host in it.
        port: its port, the usual one included.
        addresses: IP addresses of the host, the only ones that are connected to.
        environ: environment with the settings that carry the token, if any.
    """

    url: str
    host: str
    port: int
    addresses: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Bare:
    """An empty repository of our own, and the environment of every git process in it."""

    folder: Path
    environ: Mapping[str, str]

    def local(self, *arguments: str, stdin: bytes = b"") -> bytes:
        environ = {**self.environ, "GIT_ALLOW_PROTOCOL": "none"}
        _, output = run_git(
            self.folder, arguments, environ=environ, stdin=stdin, seconds=LOCAL_SECONDS
        )
        return output

    def fetch(self, *options: str, wants: Sequence[str], seconds: float) -> None:
        config = self.folder / "config"
        before = config.read_bytes()
        arguments = ("fetch", *_QUIET, "--filter=blob:none", *options, "--end-of-options", "origin")
        run_git(self.folder, (*arguments, *wants), environ=self.environ, seconds=seconds)
        # A filter makes git remember that it may fetch what is missing later, object by object.
        config.write_bytes(before)


def read_single(
    place: GitPlace,
    commit: str,
    paths: Iterable[str],
    *,
    folder: Path,
    seconds: float = NETWORK_SECONDS,
) -> dict[str, bytes]:
    """Return the content of each of these files that the commit has.

    Args:
        place: the repository.
        commit: full id of the commit.
        paths: of plain files, relative to the repository's root.
        folder: a new one for git's objects; the caller removes it.
        seconds: that each of two exchanges with the server may take.

    Raises:
        InputError: the server lacks the commit or refuses the token; a path is a link;
            a file has more than `POINTER_BYTES`.
        OutsideError: the server failed, redirects, or took too long.
    """
    bare = _Bare(folder, _make_environ(place, folder))
    _make_bare(folder)
    _fetch(bare, place, "--depth=1", wants=[commit], seconds=seconds)
    blobs = _list_blobs(bare, commit, sorted(set(paths)))
    wanted = sorted(set(blobs.values()))
    contents = _read_blobs(bare, wanted)
    if contents is None:
        _fetch(bare, place, wants=wanted, seconds=seconds)
        contents = _read_blobs(bare, wanted)
    if contents is None:
        raise OutsideError("the server left out what it was asked for", where=place.url)
    return {path: contents[blob] for path, blob in blobs.items()}


def _make_bare(folder: Path) -> None:
    """Make what `git init --bare` makes, without a process."""
    for name in ("", "objects", "refs"):
        (folder / name).mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")


def _make_environ(place: GitPlace, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in place.environ.items() if _KEPT.fullmatch(name)}
    if "SSL_CERT_FILE" in kept:
        kept.setdefault("GIT_SSL_CAINFO", kept["SSL_CERT_FILE"])
    first = int(kept.get("GIT_CONFIG_COUNT") or "0")
    settings = (
        ("remote.origin.url", place.url),
        ("http.curloptResolve", f"{place.host}:{place.port}:{','.join(place.addresses)}"),
        ("http.followRedirects", "false"),
        ("http.proxy", ""),
        ("http.sslVerify", "true"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "30"),
        ("credential.helper", ""),
        # Read once and removed: nothing that a crash of the machine could cost.
        ("core.fsync", "none"),
        # Nothing is at hand that the server could spare us.
        ("fetch.negotiationAlgorithm", "noop"),
    )
    for number, (key, value) in enumerate(settings, start=first):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {
        **kept,
        "GIT_CONFIG_COUNT": str(first + len(settings)),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ALLOW_PROTOCOL": "http:https",
        "HOME": str(folder),
    }


def _fetch(
    bare: _Bare, place: GitPlace, *options: str, wants: Sequence[str], seconds: float
) -> None:
    try:
        bare.fetch(*options, wants=wants, seconds=seconds)
    except InputError as error:
        for pattern, what, hint in _ANSWERS:
            if re.search(pattern, error.what):
                raise InputError(what, where=place.url, hint=hint) from error
        hint = "try again; if it stays, look at the server and the network"
        if _REDIRECT.search(error.what):
            hint = "redirects are not followed: give the address that it leads to"
        raise OutsideError(error.what, where=place.url, hint=hint) from error


def _list_blobs(bare: _Bare, commit: str, paths: Sequence[str]) -> dict[str, str]:
    output = bare.local("ls-tree", "-z", "--full-tree", commit, "--", *paths)
    blobs = {}
    for record in output.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        description, _, path = record.partition("\t")
        mode, kind, blob = description.split()
        if mode == SYMLINK:
            raise InputError("it is a symbolic link in this commit", where=path)
        if kind == "blob":
            blobs[path] = blob
    return blobs


def _read_blobs(bare: _Bare, blobs: Sequence[str]) -> dict[str, bytes] | None:
    """Return the content of each blob, None when one is not here."""
    wanted = "".join(f"{blob}\n" for blob in blobs).encode()
    lines = bare.local("cat-file", "--batch-check", stdin=wanted).decode().splitlines()
    if any(line.endswith(" missing") for line in lines):
        return None
    large = [line.split()[0] for line in lines if int(line.split()[2]) > POINTER_BYTES]
    if large:
        raise InputError(f"blob {large[0]} has more than the {POINTER_BYTES:,} bytes allowed")
    output = bare.local("cat-file", "--batch", stdin=wanted)
    return _split_blobs(output, lines)


def _split_blobs(output: bytes, lines: Sequence[str]) -> dict[str, bytes]:
    contents, start = {}, 0
    for line in lines:
        blob, _, size = line.split()
        begin = start + len(line) + 1
        start = begin + int(size) + 1
        contents[blob] = output[begin : start - 1]
    return contents
