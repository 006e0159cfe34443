"""The bytes of a release manifest come in, hostile until proven harmless; the value goes out.

The manifest lies beside the pointer in Git and says what the pointer is: which data and code made
it, what the gate said, what it replaced. Parsed without jsonschema, for `gitops plan` reads it too.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from gitops.config import is_inside
from gitops.digest import make_digest
from gitops.errors import InputError

MANIFEST_LIMIT = 1 << 20
SCHEMA_VERSION = 1

_DIGEST = "sha256:[0-9a-f]{64}"
_VERSION = r"v(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2}"
_PATTERNS = {
    "model": "[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?",
    "version": _VERSION,
    "previous": f"(?:{_VERSION})?",
    "release": _DIGEST,
    "fingerprint": _DIGEST,
    "bundle": _DIGEST,
    "holdout": _DIGEST,
    "policy": _DIGEST,
    "pointer_md5": r"[0-9a-f]{32}(?:\.dir)?",
    "source": "[0-9a-f]{40}(?:[0-9a-f]{24})?",
    "date": "[-+:TZ0-9]{10,35}",
    "merge_request": "[^\\x00-\\x1f\\x7f]{0,300}",
}
_DATA_PATTERNS = {"path": "[^\\x00-\\x1f\\x7f]{1,1000}", "md5": r"[0-9a-f]{32}(?:\.dir)?"}
_VERDICT_PATTERNS = {
    "key": _DIGEST,
    "outcome": "PASS",
    "reason": "[^\\x00-\\x1f\\x7f]{0,2000}",
}


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version, written `v1.2.0`; ordered by its numbers."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        """Return it as it stands in a tag."""
        return f"v{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDigest:
    """One tracked data file or folder, as the release saw it."""

    path: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDigest:
    """What the gate said: the key binds it to exactly what was judged."""

    key: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """One metric of the released model on the held-out rows, in its own units."""

    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseManifest:
    """What a released pointer is; equal inputs give equal bytes, for there is no clock in it.

    Attributes:
        model: name in gitops.yaml.
        version: version of this release.
        release: digest of fingerprint, bundle and verdict key: the identity of the release.
        fingerprint: digest of everything the model depends on.
        bundle: digest of the bundle's files.
        holdout: digest of the definition of the held-out rows.
        policy: digest of the policy applied.
        pointer_md5: DVC's hash of the bundle, as the pointer states it.
        source: commit that was run.
        date: committer date of `source`, ISO 8601.
        merge_request: reference such as `group/project!7`, or empty.
        data: data files and their DVC hashes.
        verdict: what the gate said.
        metrics: values on the held-out rows.
        previous: version that this one replaced, or empty.
    """

    model: str
    version: str
    release: str
    fingerprint: str
    bundle: str
    holdout: str
    policy: str
    pointer_md5: str
    source: str
    date: str
    merge_request: str
    data: tuple[DataDigest, ...]
    verdict: VerdictDigest
    metrics: tuple[MetricValue, ...]
    previous: str


def parse_version(text: str) -> Version:
    """Read `v1.2.0`; raise InputError for anything else."""
    if not re.fullmatch(_VERSION, text):
        raise InputError(f"{text[:60]!r} is not a version", hint="write it as v1.2.0")
    return Version(*(int(part) for part in text[1:].split(".")))


def make_release_id(fingerprint: str, bundle: str, verdict_key: str) -> str:
    """Return the digest that names a release: same inputs, bytes and verdict, same release."""
    return make_digest([fingerprint, bundle, verdict_key])


def render_manifest(manifest: ReleaseManifest) -> bytes:
    """Return the manifest as JSON, one key a line, the same bytes for the same content."""
    body = {"schema_version": SCHEMA_VERSION, **asdict(manifest)}
    body["metrics"] = {value.metric: value.value for value in manifest.metrics}
    return (json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def parse_manifest(content: bytes, path: str) -> ReleaseManifest:
    """Read a manifest strictly; raise InputError naming `path` and what is wrong with it."""
    try:
        return _make_manifest(_read_json(content))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"not a release manifest: {error}",
            where=path,
            hint="releases write this file; restore it from the last release commit",
        ) from error


def _read_json(content: bytes) -> dict[str, Any]:
    if len(content) > MANIFEST_LIMIT:
        raise ValueError(f"larger than {MANIFEST_LIMIT:,} bytes")
    body = json.loads(
        content.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
    )
    return _object(body, "the document")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key appears twice")
    return body


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _make_manifest(body: dict[str, Any]) -> ReleaseManifest:
    _check_keys(body, {"schema_version", *(field.name for field in fields(ReleaseManifest))}, "")
    if type(body["schema_version"]) is not int or body["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {body['schema_version']!r} is unknown")
    manifest = ReleaseManifest(
        **{key: _text(body[key], key, _PATTERNS) for key in _PATTERNS},
        data=tuple(_data(item) for item in _list(body["data"], "data")),
        verdict=_verdict(_object(body["verdict"], "verdict")),
        metrics=tuple(_metric(*item) for item in _object(body["metrics"], "metrics").items()),
    )
    expected = make_release_id(manifest.fingerprint, manifest.bundle, manifest.verdict.key)
    if manifest.release != expected:
        raise ValueError("release is not the digest of fingerprint, bundle and verdict key")
    return manifest


def _data(item: object) -> DataDigest:
    body = _object(item, "data")
    _check_keys(body, set(_DATA_PATTERNS), "data.")
    path, md5 = (_text(body[key], key, _DATA_PATTERNS) for key in ("path", "md5"))
    if not is_inside(path):
        raise ValueError(f"data path {path!r} leaves the repository")
    return DataDigest(path=path, md5=md5)


def _verdict(body: dict[str, Any]) -> VerdictDigest:
    _check_keys(body, set(_VERDICT_PATTERNS), "verdict.")
    return VerdictDigest(**{key: _text(body[key], key, _VERDICT_PATTERNS) for key in body})


def _metric(metric: str, value: object) -> MetricValue:
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,100}", metric):
        raise ValueError(f"metric name {metric[:100]!r} is not plain")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"metric {metric} is not a finite number")
    return MetricValue(metric=metric, value=float(value))


def _text(value: object, key: str, patterns: dict[str, str]) -> str:
    if not isinstance(value, str) or not re.fullmatch(patterns[key], value):
        raise ValueError(f"{key} has the unusable value {str(value)[:80]!r}")
    return value


def _object(value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")  # noqa: TRY004 -- one family to catch
    return value


def _list(value: object, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 -- one family to catch
    return value


def _check_keys(body: dict[str, Any], expected: set[str], prefix: str) -> None:
    missing, unknown = sorted(expected - set(body)), sorted(set(body) - expected)
    if missing or unknown:
        named = [f"missing {prefix}{key}" for key in missing]
        raise ValueError("; ".join([*named, *(f"unknown {prefix}{key[:60]}" for key in unknown)]))
