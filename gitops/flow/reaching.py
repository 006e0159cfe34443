"""A server that may be asked comes in; the checked addresses to connect to go out.

A name is looked up once: whoever connects uses these addresses, so that a second answer of the DNS
cannot lead elsewhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from gitops.errors import OutsideError, RefusedError
from gitops.source import PRIVATE_HOSTS, Endpoint, judge_address

# A name and a port come in; IP addresses go out.
ReadAddresses = Callable[[str, int], tuple[str, ...]]


def read_addresses(host: str, port: int) -> tuple[str, ...]:
    """Ask the system's resolver; raise OutsideError when it does not know the name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        raise OutsideError(
            f"the name cannot be resolved: {error.strerror or error}",
            where=host,
            hint="look at the host's name and at the cluster's DNS",
        ) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def find_addresses(endpoint: Endpoint, read: ReadAddresses) -> tuple[str, ...]:
    """Look a server up; raise RefusedError if any address is one that nobody may connect to."""
    addresses = read(endpoint.host, endpoint.port)
    if not addresses:
        raise OutsideError("the name has no address", where=endpoint.host)
    for address in addresses:
        if fault := judge_address(address, private=endpoint.private):
            raise RefusedError(
                f"its address {address} {fault}",
                where=endpoint.netloc,
                hint=f"if it is meant to be in your own network: {PRIVATE_HOSTS}={endpoint.netloc}",
            )
    return addresses
