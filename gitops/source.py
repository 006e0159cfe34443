"""A `dvc://` address comes in; the repository, commit and path that it names go out, or a refusal.

Also which hosts may be asked: the pod's environment says so, never the address or the repository.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops.errors import InputError, RefusedError
from gitops.pointer import judge_path, make_parents

if TYPE_CHECKING:
    from collections.abc import Iterable

URI_LIMIT = 2048
ALLOWED_HOSTS = "GITOPS_ALLOWED_HOSTS"
PRIVATE_HOSTS = "GITOPS_PRIVATE_HOSTS"
HTTP_HOSTS = "GITOPS_HTTP_HOSTS"
CONFIG = ".dvc/config"

_FORM = "dvc://HOST/GROUP/REPOSITORY@COMMIT/PATH, the commit with all its 40 digits"
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PORT = re.compile("[1-9][0-9]{0,4}")
_COMMIT = re.compile("[0-9a-f]{40}")
_REPOSITORY_PART = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_PATH_PART = re.compile("[A-Za-z0-9_.+=,~][A-Za-z0-9_.+=,~-]{0,254}")
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Clouds answer here with credentials of the machine; no setting opens these.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a `dvc://` address names.

    Attributes:
        host: name of the Git server, in lower case, with its port where the address gives one.
        repository: groups and name of the project, without `.git`.
        commit: full id of the commit.
        path: the file or folder that DVC tracks there, or a file within such a folder.
    """

    host: str
    repository: str
    commit: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that may be asked.

    Attributes:
        scheme: `https` or `http`.
        host: its name.
        port: its port.
        private: whether its name may lead to private addresses.
    """

    scheme: str
    host: str
    port: int
    private: bool = False

    @property
    def netloc(self) -> str:
        """The host, with its port where that is not the usual one."""
        is_usual = self.port == _DEFAULT_PORTS[self.scheme]
        return self.host if is_usual else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port as the beginning of a URL."""
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Which servers may be asked, as `host:port`.

    Attributes:
        allowed: all of them.
        private: those that may have private addresses.
        plain: those that speak http without TLS.
    """

    allowed: frozenset[str]
    private: frozenset[str]
    plain: frozenset[str]

    def admit(self, url: str) -> Endpoint:
        """Return the server of an http(s) URL; raise RefusedError unless it may be asked."""
        scheme, host, port = _split_url(url)
        endpoint = self.describe(scheme, host, port)
        name = f"{host}:{port}"
        if name not in self.allowed:
            raise RefusedError(
                f"{endpoint.netloc} is not a host that may be asked",
                hint=f"the pod's environment lists those: {ALLOWED_HOSTS}={endpoint.netloc}",
            )
        if scheme == "http" and name not in self.plain:
            raise RefusedError(
                f"{endpoint.netloc} would be asked without TLS",
                hint=f"use https, or list it: {HTTP_HOSTS}={endpoint.netloc}",
            )
        return endpoint

    def describe(self, scheme: str, host: str, port: int) -> Endpoint:
        """Return a server that need not be listed, such as AWS's own."""
        private = f"{host}:{port}" in self.private
        return Endpoint(scheme=scheme, host=host, port=port, private=private)

    def find_git(self, source: Source) -> Endpoint:
        """Return the Git server of an address; raise RefusedError unless it may be asked."""
        plain = source.host if ":" in source.host else f"{source.host}:80"
        scheme = "http" if plain in self.plain else "https"
        return self.admit(f"{scheme}://{source.host}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient the downloads are.

    Attributes:
        connect_seconds: for a connection to stand.
        read_seconds: of silence from the server.
        total_seconds: for all downloads together.
        attempts: for a request that gets no usable answer, the first included.
        threads: downloads at the same time.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    total_seconds: float = 1800.0
    attempts: int = 3
    threads: int = 16


def parse_source(uri: str) -> Source:
    """Read a `dvc://` address; there is one spelling of each, and anything else is an InputError.

    A branch or a shortened id is refused, for a served model names its commit. So are users,
    passwords, percent escapes, queries, and paths that leave the repository or lie in `.git`.
    """
    if len(uri) > URI_LIMIT:
        raise InputError(f"the source is longer than {URI_LIMIT} characters", hint=_FORM)
    if not uri.startswith("dvc://"):
        raise _refuse(uri, "it must begin with dvc://")
    before, _, after = uri.removeprefix("dvc://").partition("@")
    host, _, repository = before.partition("/")
    commit, _, path = after.partition("/")
    fault = (
        _judge_host(host)
        or _judge_repository(repository)
        or ("" if _COMMIT.fullmatch(commit) else "a commit's full id must follow the one @")
        or _judge_target(path)
    )
    if fault:
        raise _refuse(uri, fault)
    return Source(host=host, repository=repository, commit=commit, path=path)


def render_source(source: Source) -> str:
    """Return the address; `parse_source` reads it back."""
    return f"dvc://{source.host}/{source.repository}@{source.commit}/{source.path}"


def parse_hosts(allowed: str, private: str = "", plain: str = "") -> Hosts:
    """Read lists of hosts, with commas between them; a host without a port has the usual one.

    Raises:
        InputError: none is allowed, or one is not a host.
    """
    usual = tuple(_DEFAULT_PORTS.values())
    hosts = Hosts(
        allowed=frozenset(_parse_list(allowed, ALLOWED_HOSTS, usual)),
        private=frozenset(_parse_list(private, PRIVATE_HOSTS, usual)),
        plain=frozenset(_parse_list(plain, HTTP_HOSTS, (80,))),
    )
    if not hosts.allowed:
        raise InputError(
            f"{ALLOWED_HOSTS} is empty, so no host may be asked",
            hint=f"set it to the Git server and the DVC remote: {ALLOWED_HOSTS}=gitlab.example.org",
        )
    return hosts


def judge_address(text: str, *, private: bool) -> str:
    """Say why nobody may connect to an IP address; return an empty text when one may.

    Args:
        text: the address that a name led to.
        private: whether this host may have a private or loopback address. Those of clouds'
            metadata services, link-local, multicast and unspecified ones are refused even so.
    """
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "is not an IP address"
    faults = (_judge_one(each, private=private) for each in _unfold(address))
    return next(filter(None, faults), "")


def make_pointer_paths(path: str) -> tuple[str, ...]:
    """Return the pointers that may track a path: its own first, then that of each folder above."""
    return tuple(f"{each}.dvc" for each in (path, *make_parents(path)))


def make_manifest_path(pointer: str) -> str:
    """Return where the release manifest of a pointer lies, if there is one."""
    return pointer.removesuffix(".dvc") + ".release.json"


def make_git_url(endpoint: Endpoint, source: Source) -> str:
    """Return where the repository is cloned from."""
    return f"{endpoint.origin}/{source.repository}.git"


def _refuse(uri: str, fault: str) -> InputError:
    # What stands before an @ in the host's place could be a password.
    shown = re.sub(r"//[^/]*@", "//***@", uri[:300])
    return InputError(f"{shown!a} is not a source: {fault}", hint=_FORM)


def _judge_host(text: str) -> str:
    host, colon, port = text.partition(":")
    if not _HOST.fullmatch(host) or len(host) > 253:
        return "the host is not a name in lower case"
    if colon and not (_PORT.fullmatch(port) and int(port) < 65536):
        return "the port is not a number from 1 to 65535"
    return ""


def _judge_repository(text: str) -> str:
    parts = text.split("/")
    if not 2 <= len(parts) <= 21:
        return "a group and a repository must follow the host"
    for part in parts:
        if not _REPOSITORY_PART.fullmatch(part) or part.endswith((".", ".git")):
            return f"{part[:60]!a} is not the name of a group or repository"
    return judge_path(text)


def _judge_target(text: str) -> str:
    if not text:
        return "a path must follow the commit"
    for part in text.split("/"):
        if not _PATH_PART.fullmatch(part):
            return f"{part[:60]!a} is not a plain name of a file or folder"
    return judge_path(text)


def _parse_list(text: str, name: str, ports: Iterable[int]) -> Iterable[str]:
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if fault := _judge_host(entry):
            raise InputError(f"{entry[:100]!a}: {fault}", where=name, hint="list HOST or HOST:PORT")
        yield from [entry] if ":" in entry else [f"{entry}:{port}" for port in ports]


def _split_url(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL that names nothing but them and a path."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise RefusedError(f"{parts.scheme or 'a path'!a} is not http or https")
    if parts.query or parts.fragment or _judge_host(parts.netloc):
        raise RefusedError(
            f"not a plain address of a server: {parts.scheme}://{parts.netloc.rpartition('@')[2]!a}",
            hint="write scheme://HOST[:PORT]/PATH, without a user, a query or an IPv6 address",
        )
    host, _, port = parts.netloc.partition(":")
    return parts.scheme, host, int(port) if port else _DEFAULT_PORTS[parts.scheme]


def _unfold(address: Address) -> tuple[Address, ...]:
    """Return an address and the IPv4 address that it stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    return tuple(each for each in (address, address.sixtofour, last) if each is not None)


def _judge_one(address: Address, *, private: bool) -> str:
    if address in _METADATA:
        return "belongs to a cloud's metadata service"
    faults = (
        ("is link-local", address.is_link_local),
        ("is multicast", address.is_multicast),
        ("is unspecified", address.is_unspecified),
        ("is loopback", address.is_loopback and not private),
        ("is private", not address.is_global and not private),
    )
    return next((fault for fault, found in faults if found), "")
