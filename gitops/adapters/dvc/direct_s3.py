"""An S3 remote and the environment come in; its server, and signed requests for its objects, go out.

Only the signature is botocore's: who connects, and to which address, stays ours to check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from gitops.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.adapters.dvc.remote import Remote

_BUCKET = re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# One label of a host name; servers other than AWS have regions such as `auto`.
_REGION = re.compile("[a-z0-9][a-z0-9-]{0,40}")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place:
    """Where an S3 remote is.

    Attributes:
        origin: scheme and host of the server that is asked.
        is_listed: whether it must be among the hosts that may be asked: all but AWS's own.
        folder: path of the remote on that server, quoted, without a slash at its end.
        region: for the signature.
        profile: of the credentials, empty for the usual one.
        anonymous: ask without a signature.
    """

    origin: str
    is_listed: bool
    folder: str
    region: str
    profile: str
    anonymous: bool


def find_s3(remote: Remote, environ: Mapping[str, str]) -> S3Place:
    """Return where an `s3://` remote is; raise InputError for a bucket or region that is none."""
    options = dict(remote.options)
    parts = urlsplit(remote.url)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    region = options.get("region") or _first(environ, _REGIONS) or "us-east-1"
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise InputError(f"{bucket[:80]!a} is not the name of a bucket", where=remote.address)
    if not _REGION.fullmatch(region):
        raise InputError(f"{region[:80]!a} is not a region", where=remote.address)
    if not {".", ".."}.isdisjoint(prefix.split("/")) or parts.query or parts.fragment:
        raise InputError("the remote's path is not plain", where=remote.address)
    endpoint = options.get("endpointurl") or _first(environ, _ENDPOINTS)
    origin, folder = _locate(endpoint.rstrip("/"), bucket, region)
    return S3Place(
        origin=origin,
        is_listed=bool(endpoint),
        folder=f"{folder}/{quote(prefix, safe='/~')}".rstrip("/"),
        region=region,
        profile=options.get("profile", ""),
        anonymous=options.get("allow_anonymous_login", "").lower() == "true",
    )


class S3Signer:
    """Makes a request for each object, signed with the pod's credentials."""

    def __init__(self, place: S3Place, environ: Mapping[str, str]) -> None:
        """Look for credentials; raise InputError when there are none."""
        self._place = place
        self._credentials = None if place.anonymous else _read_credentials(place, environ)

    def __call__(self, name: str) -> tuple[str, dict[str, str]]:
        """Return path and headers of the request for an object."""
        path = f"{self._place.folder}/files/md5/{name[:2]}/{name[2:]}"
        if self._credentials is None:
            return path, {}
        from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped] # it ships no types
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped] # it ships no types

        request = AWSRequest(method="GET", url=f"{self._place.origin}{path}")
        S3SigV4Auth(self._credentials, "s3", self._place.region).add_auth(request)
        return path, dict(request.headers.items())


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _locate(endpoint: str, bucket: str, region: str) -> tuple[str, str]:
    """Return the server's origin and the bucket's path on it."""
    if endpoint:
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{parts.netloc}", f"{quote(parts.path, safe='/~')}/{bucket}"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    if "." in bucket:
        # The certificate of AWS covers one label only.
        return f"https://s3.{region}.{suffix}", f"/{bucket}"
    return f"https://{bucket}.s3.{region}.{suffix}", ""


def _read_credentials(place: S3Place, environ: Mapping[str, str]) -> Any:
    from botocore.credentials import Credentials  # type: ignore[import-untyped] # it ships no types

    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret and not place.profile:
        return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN"))
    from botocore.session import Session  # type: ignore[import-untyped] # it ships no types

    found = Session(profile=place.profile or None).get_credentials()
    if found is None:
        raise InputError(
            "there are no credentials for S3",
            where=place.origin,
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role",
        )
    return found
