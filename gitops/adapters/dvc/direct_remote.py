"""The remote that a commit names comes in; a reader of its objects goes out, or word that only DVC can.

The commit was reviewed, but who may be asked is the pod's to say: each host is checked first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from gitops.adapters.dvc.direct import FolderReader, Reader
from gitops.adapters.dvc.remote import Remote, parse_config, read_remote
from gitops.errors import InputError, RefusedError
from gitops.source import CONFIG, Endpoint, Hosts, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


# There is no work tree in a pod; a path from it would lead here, where nothing is.
_NOWHERE = Path("/nonexistent/repository")
_HARMLESS = frozenset(
    {"jobs", "read_timeout", "connect_timeout", "verify", "version_aware", "worktree", "ssl_verify"}
)
_S3 = frozenset({"endpointurl", "region", "profile", "allow_anonymous_login", "use_ssl"})
# What only DVC reads, and the options with which it asks nobody but the vendor or the host named.
_VENDORS = {"gs": {"projectname"}, "azure": set[str]()}
_LOGIN = {"auth", "user", "password", "custom_auth_header", "method", "timeout"}
_NAMED = {
    "ssh": {"user", "port", "timeout"},
    **dict.fromkeys(("http", "https", "webdav", "webdavs"), _LOGIN),
}
_PORTS = {"ssh": "22", "http": "80", "https": "443", "webdav": "80", "webdavs": "443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What is needed to get to a remote.

    Attributes:
        hosts: who may be asked.
        find_addresses: a server → the checked IP addresses to connect to.
        environ: the pod's environment, with credentials.
        limits: how patient to be.
    """

    hosts: Hosts
    find_addresses: Callable[[Endpoint], tuple[str, ...]]
    environ: Mapping[str, str]
    limits: Limits


def find_remote(config: bytes) -> Remote:
    """Return the default remote of a commit's `.dvc/config`.

    Raises:
        InputError: there is none, or it is a folder relative to the repository.
    """
    try:
        text = config.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("it is not UTF-8 text", where=CONFIG) from error
    remote = read_remote(text, None, None, _NOWHERE)
    if not f"{remote.name}{remote.url}".isprintable():
        raise InputError("the DVC remote has control characters in its address", where=CONFIG)
    url = parse_config(text)[f"remote {remote.name}"]["url"]
    if "://" not in url and not url.startswith("/"):
        raise InputError(
            f"the DVC remote '{remote.name}' is a folder of the repository",
            where=CONFIG,
            hint="a pod has no work tree: set a remote on S3 or HTTP, dvc push, and commit it",
        )
    return remote


def open_reader(remote: Remote, reach: Reach) -> Reader | None:
    """Return a reader of the remote's objects; None if only DVC can read it, and may.

    Raises:
        RefusedError: its host may not be asked, or its options turn a check off.
        InputError: it lacks credentials, or its address makes no sense.
    """
    _refuse_unverified(remote)
    if remote.folder is not None:
        return FolderReader(folder=remote.folder, place=remote.address)
    scheme, options = remote.url.partition("://")[0], {key for key, _ in remote.options}
    unusual = options - _HARMLESS
    if scheme in {"http", "https"} and not unusual:
        return _open_http(remote, reach)
    if scheme == "s3" and not unusual - _S3:
        return _open_s3(remote, reach)
    _check_for_dvc(remote, scheme, unusual, reach)
    return None


def _open_http(remote: Remote, reach: Reach) -> Reader:
    endpoint = reach.hosts.admit(remote.url)
    folder = quote(urlsplit(remote.url).path.rstrip("/"), safe="/~%")
    return _connect(
        remote, endpoint, reach, lambda name: (f"{folder}/files/md5/{name[:2]}/{name[2:]}", {})
    )


def _open_s3(remote: Remote, reach: Reach) -> Reader:
    from gitops.adapters.dvc.direct_s3 import S3Signer, find_s3

    place = find_s3(remote, reach.environ)
    if place.is_listed:
        endpoint = reach.hosts.admit(place.origin)
    else:
        endpoint = reach.hosts.describe("https", urlsplit(place.origin).netloc, 443)
    return _connect(remote, endpoint, reach, S3Signer(place, reach.environ))


def _connect(
    remote: Remote,
    endpoint: Endpoint,
    reach: Reach,
    ask: Callable[[str], tuple[str, Mapping[str, str]]],
) -> Reader:
    from gitops.adapters.dvc.direct_http import HttpReader, HttpServer

    server = HttpServer(
        scheme=endpoint.scheme,
        host=endpoint.host,
        port=endpoint.port,
        netloc=endpoint.netloc,
        address=reach.find_addresses(endpoint)[0],
    )
    return HttpReader(server=server, ask=ask, place=remote.address, limits=reach.limits)


def _refuse_unverified(remote: Remote) -> None:
    options = dict(remote.options)
    for name, wanted in (("ssl_verify", "true"), ("use_ssl", "true")):
        if options.get(name, wanted).lower() != wanted:
            raise RefusedError(
                f"`{name}` may only be {wanted} here",
                where=remote.address,
                hint="for a private authority, mount its certificate and set SSL_CERT_FILE",
            )


def _check_for_dvc(remote: Remote, scheme: str, unusual: set[str], reach: Reach) -> None:
    """Refuse what DVC would be asked to read, unless it is known whom DVC would ask."""
    known = (_VENDORS | _NAMED).get(scheme)
    if known is None or unusual - known:
        extra = ", ".join(sorted(unusual - (known or set()))) or "none"
        raise RefusedError(
            f"nobody can tell whom such a remote would ask (options: {extra[:200]!a})",
            where=remote.address,
            hint="use a remote on S3 or HTTP with plain options",
        )
    if scheme in _NAMED:
        _check_named(remote, scheme, reach)


def _check_named(remote: Remote, scheme: str, reach: Reach) -> None:
    parts = urlsplit(remote.url)
    host, _, port = parts.netloc.rpartition("@")[2].partition(":")
    number = dict(remote.options).get("port") or port or _PORTS[scheme]
    # DVC looks the name up again by itself: here the address can only be checked, not held.
    web = "http" if scheme in {"http", "webdav"} else "https"
    reach.find_addresses(reach.hosts.admit(f"{web}://{host}:{number}"))
