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
from gitops.gate.verdict import Outcome, Verdict
from gitops.strict_json import as_list, as_object, as_text, check_keys, check_version, parse_object
from gitops.waiver import Waiver, one_line, waiver_from_json, waiver_to_json

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
    "outcome": f"{Outcome.PASS}|{Outcome.FAIL}|{Outcome.INCONCLUSIVE}",
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
        waiver: whose decision let it through, and why, when the verdict did not pass.
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
    waiver: Waiver | None = None


def parse_version(text: str) -> Version:
    """Read `v1.2.0`; raise InputError for anything else."""
    if not re.fullmatch(_VERSION, text):
        raise InputError(f"{text[:60]!r} is not a version", hint="write it as v1.2.0")
    return Version(*(int(part) for part in text[1:].split(".")))


def make_release_id(fingerprint: str, bundle: str, verdict_key: str) -> str:
    """Return the digest that names a release: same inputs, bytes and verdict, same release."""
    return make_digest([fingerprint, bundle, verdict_key])


def make_verdict_digest(verdict: Verdict) -> VerdictDigest:
    """Return what a manifest keeps of a verdict."""
    reason = one_line(verdict.reason)
    return VerdictDigest(key=verdict.key, outcome=str(verdict.outcome), reason=reason)


def make_metrics(verdict: Verdict) -> tuple[MetricValue, ...]:
    """Return the candidate's value of each metric that was judged, by name."""
    values = {one.metric: one.candidate for one in verdict.findings if one.is_overall}
    named = sorted(values.items())
    return tuple(MetricValue(metric=name, value=v) for name, v in named if v is not None)


def manifest_to_json(manifest: ReleaseManifest) -> dict[str, Any]:
    """Return the manifest as JSON; it speaks of a waiver only where there is one."""
    body = asdict(manifest)
    body["metrics"] = {value.metric: value.value for value in manifest.metrics}
    body["data"] = list(body["data"])
    del body["waiver"]
    waiver = {"waiver": waiver_to_json(manifest.waiver)} if manifest.waiver else {}
    return {**body, **waiver}


def render_manifest(manifest: ReleaseManifest) -> bytes:
    """Return the manifest's bytes, one key a line, the same bytes for the same content."""
    body = {"schema_version": SCHEMA_VERSION, **manifest_to_json(manifest)}
    return (json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def render_message(manifest: ReleaseManifest) -> str:
    """Return the message of the release's commit and tag."""
    waiver = manifest.waiver
    trailers = {
        "Release-Id": manifest.release,
        "Source-Commit": manifest.source,
        "Merge-Request": manifest.merge_request,
        "Waived-By": waiver.by if waiver else "",
    }
    lines = "\n".join(f"{key}: {value}" for key, value in trailers.items() if value)
    reason = f"{manifest.verdict.outcome}: {manifest.verdict.reason}"
    if waiver:
        reason += f"\nWaived by {waiver.by} until {waiver.expires} because: {waiver.why}"
    return f"Release {manifest.model} {manifest.version}\n\n{reason}\n\n{lines}\n"


def parse_manifest(content: bytes, path: str) -> ReleaseManifest:
    """Read a manifest strictly; raise InputError naming `path` and what is wrong with it."""
    try:
        return _make_manifest(parse_object(content, limit=MANIFEST_LIMIT))
    except ValueError as error:
        raise InputError(
            f"not a release manifest: {error}",
            where=path,
            hint="releases write this file; restore it from the last release commit",
        ) from error


def _make_manifest(body: dict[str, Any]) -> ReleaseManifest:
    names = {field.name for field in fields(ReleaseManifest)} - {"waiver"}
    check_keys(body, {"schema_version", *names, *({"waiver"} & set(body))})
    check_version(body, SCHEMA_VERSION)
    manifest = ReleaseManifest(
        **{key: as_text(body[key], key, pattern) for key, pattern in _PATTERNS.items()},
        data=tuple(_data(item) for item in as_list(body["data"], "data")),
        verdict=_verdict(as_object(body["verdict"], "verdict")),
        metrics=tuple(_metric(*item) for item in as_object(body["metrics"], "metrics").items()),
        waiver=_waiver(body["waiver"]) if "waiver" in body else None,
    )
    expected = make_release_id(manifest.fingerprint, manifest.bundle, manifest.verdict.key)
    if manifest.release != expected:
        raise ValueError("release is not the digest of fingerprint, bundle and verdict key")
    _check_waiver(manifest)
    return manifest


def _waiver(value: object) -> Waiver:
    return waiver_from_json(as_object(value, "waiver"))


def _check_waiver(manifest: ReleaseManifest) -> None:
    """A verdict that did not pass comes with the waiver of exactly that verdict, and no other does."""
    verdict, waiver = manifest.verdict, manifest.waiver
    if waiver is None:
        if verdict.outcome != Outcome.PASS:
            raise ValueError(f"the verdict is {verdict.outcome}, and no waiver is recorded")
        return
    waived = waiver.verdict
    released = (manifest.model, manifest.fingerprint, manifest.bundle, manifest.policy)
    told = (waiver.model, waived.fingerprint, waived.candidate, waived.policy)
    said = VerdictDigest(key=waived.key, outcome=str(waived.outcome), reason=waived.reason)
    if told != released or said != verdict:
        raise ValueError("the waiver is about another verdict")


def _data(item: object) -> DataDigest:
    body = as_object(item, "data")
    check_keys(body, set(_DATA_PATTERNS), "data.")
    path, md5 = (as_text(body[key], key, _DATA_PATTERNS[key]) for key in ("path", "md5"))
    if not is_inside(path):
        raise ValueError(f"data path {path!r} leaves the repository")
    return DataDigest(path=path, md5=md5)


def _verdict(body: dict[str, Any]) -> VerdictDigest:
    check_keys(body, set(_VERDICT_PATTERNS), "verdict.")
    patterns = _VERDICT_PATTERNS.items()
    return VerdictDigest(**{key: as_text(body[key], key, pattern) for key, pattern in patterns})


def _metric(metric: str, value: object) -> MetricValue:
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,100}", metric):
        raise ValueError(f"metric name {metric[:100]!r} is not plain")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"metric {metric} is not a finite number")
    return MetricValue(metric=metric, value=float(value))
