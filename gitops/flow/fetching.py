"""A `dvc://` address comes in; the bytes that the commit names, proven by hash, go to a folder.

No clone: one commit, three small files of it, and the objects that its pointer names.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.adapters.git.process import NETWORK_SECONDS
from gitops.adapters.git.single import GitPlace, read_single
from gitops.errors import InputError, RefusedError
from gitops.flow.credentials import make_git_environ
from gitops.flow.placing import IDENTITY, STAGING, Destination, open_destination
from gitops.flow.reaching import ReadAddresses, find_addresses, read_addresses
from gitops.source import (
    ALLOWED_HOSTS,
    CONFIG,
    HTTP_HOSTS,
    PRIVATE_HOSTS,
    Endpoint,
    Hosts,
    Limits,
    Source,
    make_git_url,
    make_manifest_path,
    make_pointer_paths,
    parse_hosts,
    parse_source,
    render_source,
)

if TYPE_CHECKING:
    from gitops.adapters.dvc.listing import Entry
    from gitops.adapters.dvc.remote import Remote
    from gitops.manifest import ReleaseManifest
    from gitops.pointer import Pointer

BUNDLE = "bundle"
_NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched.

    Attributes:
        source: what was asked for.
        release: the manifest of the release that it is; None for what nobody released.
        files: number of files.
        size: their bytes in all.
        through_dvc: whether DVC had to read the remote, because we cannot.
        changed: False when the destination held exactly this already.
    """

    source: Source
    release: ReleaseManifest | None
    files: int
    size: int
    through_dvc: bool
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried:
    """What the commit says about the path.

    Attributes:
        pointer: what tracks it.
        inside: the path within the tracked folder; empty for all of it.
        release: the manifest beside the pointer, None without one.
        remote: where the objects are.
    """

    pointer: Pointer
    inside: str
    release: ReleaseManifest | None
    remote: Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One fetch: what is asked, who may be asked, and where to work."""

    source: Source
    hosts: Hosts
    read: ReadAddresses
    environ: Mapping[str, str]
    limits: Limits
    staging: Path

    def find_addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        return find_addresses(endpoint, self.read)


def fetch_source(
    uri: str,
    destination: Path,
    *,
    environ: Mapping[str, str],
    limits: Limits | None = None,
    read: ReadAddresses = read_addresses,
) -> Fetched:
    """Fetch what an address names; run again after a kill, it converges.

    A release becomes `bundle/` and `identity.json`; anything else, and a file within a tracked
    folder, lies in the destination itself.

    Raises:
        InputError: the address, the destination, the environment or the commit cannot be used.
        RefusedError: a host may not be asked, or the bytes are not those that were released.
        OutsideError: a server or the disk failed. Nothing that counts is left in any case.
    """
    source = parse_source(uri)
    names = (ALLOWED_HOSTS, PRIVATE_HOSTS, HTTP_HOSTS)
    hosts = parse_hosts(*(environ.get(name, "") for name in names))
    threading.Thread(target=_load_readers, daemon=True).start()
    with open_destination(destination) as target:
        work = _Work(
            source=source,
            hosts=hosts,
            read=read,
            environ=environ,
            limits=limits or Limits(),
            staging=target.staging,
        )
        return _fetch(work, target)


def _load_readers() -> None:
    """Load what reads pointers and objects while Git answers: it takes about as long."""
    import gitops.adapters.dvc.direct_http
    import gitops.adapters.dvc.direct_remote
    import gitops.manifest  # noqa: F401 - loaded for later


def _fetch(work: _Work, target: Destination) -> Fetched:
    carried = _parse_carried(work.source, _read_commit(work))
    got, through_dvc = _download(work, carried)
    size = sum(path.stat().st_size for path in got.rglob("*") if path.is_file())
    files = sum(path.is_file() for path in got.rglob("*"))
    new = _arrange(work, carried, got)
    changed = target.place(new)
    return Fetched(
        source=work.source,
        release=carried.release,
        files=files,
        size=size,
        through_dvc=through_dvc,
        changed=changed,
    )


def _read_commit(work: _Work) -> dict[str, bytes]:
    """Return the pointers that may track the path, their manifests and DVC's config, as far as there."""
    endpoint = work.hosts.find_git(work.source)
    url = make_git_url(endpoint, work.source)
    place = GitPlace(
        url=url,
        host=endpoint.host,
        port=endpoint.port,
        addresses=work.find_addresses(endpoint),
        environ=make_git_environ(work.environ, url),
    )
    pointers = make_pointer_paths(work.source.path)
    paths = (CONFIG, *pointers, *map(make_manifest_path, pointers))
    return read_single(
        place,
        work.source.commit,
        paths,
        folder=work.staging / "git",
        seconds=min(NETWORK_SECONDS, work.limits.total_seconds),
    )


def _parse_carried(source: Source, files: Mapping[str, bytes]) -> _Carried:
    from gitops.adapters.dvc.direct_remote import find_remote
    from gitops.manifest import parse_manifest
    from gitops.pointer import parse_pointer

    place = next((path for path in make_pointer_paths(source.path) if path in files), None)
    if place is None or CONFIG not in files:
        missing = f"{source.path}.dvc" if place is None else CONFIG
        raise InputError(
            f"the commit has no {missing}",
            where=render_source(source),
            hint="name what DVC tracks, without .dvc at its end, at a commit that has it",
        )
    pointer = parse_pointer(files[place], place)
    manifest = make_manifest_path(place)
    release = parse_manifest(files[manifest], manifest) if manifest in files else None
    if release and release.pointer_md5 != pointer.md5:
        raise RefusedError(
            f"its manifest is about {release.pointer_md5}, and it points to {pointer.md5}",
            where=place,
            hint="name the commit of a release: `gitops status`",
        )
    inside = source.path.removeprefix(pointer.target).lstrip("/")
    if source.path != "/".join(filter(None, (pointer.target, inside))):
        raise InputError("it tracks something else than its name says", where=place)
    if inside and not pointer.directory:
        raise InputError(f"it tracks a file, which cannot hold {inside!a}", where=place)
    return _Carried(
        pointer=pointer, inside=inside, release=release, remote=find_remote(files[CONFIG])
    )


def _download(work: _Work, carried: _Carried) -> tuple[Path, bool]:
    """Return a folder with the files, each checked by hash, and whether DVC had to be used."""
    from gitops.adapters.dvc.direct import read_entries, write_entries
    from gitops.adapters.dvc.direct_remote import Reach, open_reader

    reach = Reach(
        hosts=work.hosts,
        find_addresses=work.find_addresses,
        environ=work.environ,
        limits=work.limits,
    )
    reader = open_reader(carried.remote, reach)
    folder = work.staging / "got"
    if reader is None:
        _download_through_dvc(work, carried, folder)
        return folder, True
    try:
        entries = read_entries(reader, carried.pointer)
        _refuse_odd(entries, carried)
        # The digest of a release covers all its files, so that all are needed to check it.
        wanted = [one for one in entries if carried.release or carried.inside in ("", one.path)]
        size = carried.pointer.size or 0
        write_entries(reader, wanted, folder, size=size, threads=work.limits.threads)
    finally:
        reader.close()
    return folder, False


def _download_through_dvc(work: _Work, carried: _Carried, folder: Path) -> None:
    from gitops import log
    from gitops.adapters.dvc import fetch

    log.say(f"  {carried.remote.address} needs DVC itself, which takes some seconds longer")
    pointer = carried.pointer
    name = folder if pointer.directory else folder / pointer.target.rpartition("/")[2]
    fetch(
        carried.remote,
        pointer,
        cache=work.staging / "cache",
        repository=work.staging,
        destination=name,
        timeout=work.limits.total_seconds,
    )


def _refuse_odd(entries: tuple[Entry, ...], carried: _Carried) -> None:
    """Raise InputError unless the listing has the file that is asked for, and none in our own way."""
    paths = [entry.path for entry in entries]
    if any(path.split("/")[0] == STAGING for path in paths):
        raise InputError(f"{STAGING} is our own folder", where=carried.pointer.path)
    if carried.pointer.directory and carried.inside not in ("", *paths):
        raise InputError(
            f"there is no file {carried.inside!a} in it",
            where=carried.pointer.path,
            hint=f"it holds {', '.join(ascii(path) for path in paths[:5])}",
        )


def _arrange(work: _Work, carried: _Carried, got: Path) -> Path:
    """Return a folder that holds what the destination is to hold."""
    if carried.release:
        _check_bundle(got, carried.release, carried.pointer.path)
    if carried.inside:
        new = work.staging / _NEW
        new.mkdir()
        file = got / carried.inside
        file.rename(new / file.name)
        return new
    if carried.release is None:
        return got
    new = work.staging / _NEW
    new.mkdir()
    got.rename(new / BUNDLE)
    text = render_identity(carried.release, work.source.commit)
    (new / IDENTITY).write_text(text, encoding="utf-8")
    return new


def _check_bundle(folder: Path, release: ReleaseManifest, where: str) -> None:
    found = make_bundle_digest(folder)
    if found != release.bundle:
        raise RefusedError(
            f"the files have the digest {found}, and {release.bundle} was released",
            where=where,
            hint="find out who changed the model; roll back to a release that is whole",
        )


def make_bundle_digest(folder: Path) -> str:
    """Return the digest of a bundle's files, as `gitops.serving.bundle` makes it, without numpy."""
    hashes = [
        (path.relative_to(folder).as_posix(), _hash_file(path))
        for path in folder.rglob("*")
        if path.is_file()
    ]
    pairs = json.dumps(sorted(hashes), ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(pairs.encode()).hexdigest()}"


def render_identity(release: ReleaseManifest, commit: str) -> str:
    """Return the document that `gitops serve --identity` reads."""
    body = {
        "model": release.model,
        "version": release.version,
        "commit": commit,
        "bundle": release.bundle,
        "fingerprint": release.fingerprint,
    }
    return json.dumps(body, indent=1) + "\n"


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
