"""A judged candidate and what the target branch carries come in; the commit and tag to push go out.

Pure: no Git here. Tags follow GTO's grammar, `fuel@v1.2.0`, so that other tools read them too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from gitops.config import ModelConfig
from gitops.errors import InputError, RefusedError, UndecidedError
from gitops.gate.verdict import Outcome, Verdict
from gitops.manifest import (
    DataDigest,
    ReleaseManifest,
    Version,
    make_metrics,
    make_release_id,
    make_verdict_digest,
    parse_manifest,
    parse_version,
    render_manifest,
    render_message,
)
from gitops.pointer import parse_pointer
from gitops.waiver import Waiver, WaiverFile, weigh_waivers

FIRST_VERSION = Version(1, 0, 0)


class ReleaseStep(StrEnum):
    """What a release has done so far; killed after any of them and run again, it converges."""

    VERIFIED = "verified"
    ADDED = "added"
    PUSHED = "pushed"
    PROVEN = "proven"
    COMMITTED = "committed"
    TAGGED = "tagged"
    PUBLISHED = "published"
    CONFIRMED = "confirmed"


StepCallback = Callable[[ReleaseStep], None]


def ignore_step(step: ReleaseStep) -> None:
    """Do nothing: the callback of those who do not follow the steps."""
    del step


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTag:
    """The tag that registers a version of a model."""

    model: str
    version: Version

    def __str__(self) -> str:
        """Return the name of the tag."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A release as a commit carries it: pointer, manifest, and the commit that put them there."""

    commit: str
    pointer: bytes
    manifest: ReleaseManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the target branch says right now.

    Attributes:
        branch: its name.
        commit: its tip.
        source_date: committer date of the source commit, ISO 8601; empty if not on the branch.
        source_message: message of the source commit.
        changed: inputs of the model that differ between the source commit and the tip.
        carried: the release that the tip carries for the model, if any.
        tagged: every release of the model that a tag registers, oldest version first.
        taken: every name in the model's tag namespace, usable or not.
        lost: tag of the last release when its commit is not on the branch any more, else empty.
        waivers: what lies in the model's folder of waivers at the tip.
    """

    branch: str
    commit: str
    source_date: str
    source_message: str
    changed: tuple[str, ...]
    carried: Carried | None
    tagged: tuple[Carried, ...]
    taken: tuple[str, ...]
    lost: str
    waivers: tuple[WaiverFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is to be released: the pointer that DVC made of the judged bundle, and the verdict.

    Attributes:
        config: the model, as the source commit defines it.
        pointer: content of the pointer.
        pointer_md5: DVC's hash of the bundle, as the pointer states it.
        source: commit that was run.
        data: data files and their DVC hashes.
        verdict: what the gate said.
        fingerprint: digest of what the source commit's model depends on.
        policy: digest of the target branch's policy.
        today: the day of the release, for waivers that expire.
    """

    config: ModelConfig
    pointer: bytes
    pointer_md5: str
    source: str
    data: tuple[DataDigest, ...]
    verdict: Verdict
    fingerprint: str
    policy: str
    today: date

    @property
    def release(self) -> str:
        """Return the release id."""
        verdict = self.verdict
        return make_release_id(verdict.fingerprint, verdict.candidate, verdict.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCommit:
    """One commit to put on top of the target branch, with an annotated tag if `tag` names one."""

    parent: str
    files: tuple[tuple[str, bytes], ...]
    message: str
    manifest: ReleaseManifest
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release that is on the remote: `created` is False when it was there already."""

    model: str
    version: str
    tag: str
    commit: str
    manifest: ReleaseManifest
    created: bool


def parse_tag(name: str) -> ReleaseTag | None:
    """Return the release that a tag registers, or None: stages and deregistrations are not ours."""
    model, separator, version = name.partition("@")
    if not separator or not re.fullmatch("[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?", model):
        return None
    try:
        return ReleaseTag(model=model, version=parse_version(version))
    except InputError:
        return None


def make_tag(model: str, version: Version) -> str:
    """Return the name of the tag, e.g. `fuel@v1.2.0`."""
    return str(ReleaseTag(model=model, version=version))


def next_version(model: str, tags: Iterable[str]) -> Version:
    """Return the version after the highest that any tag of the model names, used or deregistered.

    A deregistered version (`fuel@v1.2.0!`) stays used: a name never means two things.
    """
    parsed = (parse_tag(name.removesuffix("!")) for name in tags)
    versions = [tag.version for tag in parsed if tag is not None and tag.model == model]
    if not versions:
        return FIRST_VERSION
    last = max(versions)
    return Version(last.major, last.minor + 1, 0)


def parse_carried(
    pointer: bytes | None, manifest: bytes | None, *, config: ModelConfig, commit: str
) -> Carried | None:
    """Return the release that a commit carries; raise InputError when its two files disagree."""
    if pointer is None and manifest is None:
        return None
    if pointer is None or manifest is None:
        missing = config.pointer if pointer is None else config.manifest
        raise InputError(
            f"commit {commit[:12]} has only one of {config.pointer} and {config.manifest}",
            where=missing,
            hint=f"restore {missing} from the last release commit: they only change together",
        )
    parsed = parse_manifest(manifest, config.manifest)
    place = parse_pointer(pointer, config.pointer)
    target = config.pointer.removesuffix(".dvc")
    told = (parsed.model, parsed.pointer_md5, target)
    if told != (config.name, place.md5, place.target):
        raise InputError(
            f"the manifest of {parsed.model} {parsed.version} is not about this pointer",
            where=config.manifest,
            hint="restore both files from the last release commit",
        )
    return Carried(commit=commit, pointer=pointer, manifest=parsed)


def check_bound(verdict: Verdict, *, model: str, fingerprint: str, policy: str) -> None:
    """Refuse a verdict that is about another model, other inputs or another policy."""
    again = f"run: gitops check, then gitops release {model}"
    if verdict.model != model:
        raise RefusedError(f"the verdict is about {verdict.model!r}, not {model!r}", hint=again)
    if verdict.fingerprint != fingerprint:
        raise RefusedError(f"the verdict on {model} is about other code or data", hint=again)
    if verdict.policy != policy:
        raise RefusedError(f"the verdict on {model} applied another policy", hint=again)


def check_verdict(candidate: Candidate, waivers: Iterable[WaiverFile]) -> Waiver | None:
    """Let through a passing verdict on exactly this, or one that a fitting waiver speaks for.

    Nothing else leads to a release. Returns the waiver that was needed. Raises RefusedError, or
    UndecidedError when the gate could not tell.
    """
    verdict, model = candidate.verdict, candidate.config.name
    bound = {"fingerprint": candidate.fingerprint, "policy": candidate.policy}
    check_bound(verdict, model=model, **bound)
    if verdict.outcome is Outcome.PASS:
        return None
    weighed = weigh_waivers(waivers, verdict, today=candidate.today)
    if weighed.waiver is not None:
        return weighed.waiver
    kind = UndecidedError if verdict.outcome is Outcome.INCONCLUSIVE else RefusedError
    void = "".join(f"; {sentence}" for sentence in weighed.void)
    raise kind(
        f"{model} is not released: {verdict.outcome}: {verdict.reason}{void}",
        hint=f"read the report; to release it all the same, record who decides and why: "
        f'gitops waive {model} --reason "...", then merge the waiver',
    )


def plan_release(candidate: Candidate, target: Target) -> PlannedCommit | Release:
    """Say what to push, or that the release is there already.

    Raises RefusedError or UndecidedError when nothing speaks for the candidate, RefusedError when
    the target branch moved in a way that the verdict does not cover, and InputError when its
    history was rewritten.
    """
    _check_history(candidate.config.name, candidate.source, target)
    carried = target.carried
    if carried is not None and carried.manifest.release == candidate.release:
        return make_release(carried, created=False)
    waiver = check_verdict(candidate, target.waivers)
    _check_superseded(candidate, target)
    manifest = _make_manifest(candidate, target, waiver)
    config = candidate.config
    return PlannedCommit(
        parent=target.commit,
        files=((config.pointer, candidate.pointer), (config.manifest, render_manifest(manifest))),
        message=render_message(manifest),
        manifest=manifest,
        tag=make_tag(config.name, parse_version(manifest.version)),
    )


def make_release(carried: Carried, *, created: bool) -> Release:
    """Return the release that a commit carries."""
    manifest = carried.manifest
    return Release(
        model=manifest.model,
        version=manifest.version,
        tag=make_tag(manifest.model, parse_version(manifest.version)),
        commit=carried.commit,
        manifest=manifest,
        created=created,
    )


def parse_merge_request(message: str) -> str:
    """Return the reference in GitLab's merge commit message, e.g. `group/project!7`, or nothing."""
    found = re.search(r"^See merge request ([\w./-]{1,200}![0-9]{1,12})$", message, re.MULTILINE)
    return found.group(1) if found else ""


def _check_history(model: str, source: str, target: Target) -> None:
    if target.lost:
        raise InputError(
            f"{target.branch} no longer contains the release {target.lost}: history was rewritten",
            hint=f"restore the branch, or delete the tag {target.lost} if {model} is to start anew",
        )
    if not target.source_date:
        raise RefusedError(
            f"commit {source[:12]} is not on {target.branch}: only merged work is released",
            hint=f"merge it, then run: gitops release {model}",
        )


def _check_superseded(candidate: Candidate, target: Target) -> None:
    model, carried = candidate.config.name, target.carried
    current = carried.manifest.bundle if carried else ""
    for past in target.tagged:
        if past.manifest.release == candidate.release:
            raise RefusedError(
                f"superseded: {model} {past.manifest.version} was released and then replaced",
                hint=f"to return to it, run: gitops rollback {model} --to {past.manifest.version}",
            )
    if current != candidate.verdict.champion:
        now = f"{model} {carried.manifest.version}" if carried else "no release"
        raise RefusedError(
            f"superseded: {target.branch} now carries {now}, which the gate did not compare with",
            hint=f"update to {target.branch}, then run: gitops check",
        )
    if target.changed:
        raise RefusedError(
            f"superseded: {', '.join(target.changed[:3])} changed on {target.branch} meanwhile",
            hint=f"update to {target.branch}, then run: gitops check",
        )


def _make_manifest(candidate: Candidate, target: Target, waiver: Waiver | None) -> ReleaseManifest:
    verdict, carried = candidate.verdict, target.carried
    return ReleaseManifest(
        model=candidate.config.name,
        version=str(next_version(candidate.config.name, target.taken)),
        release=candidate.release,
        fingerprint=verdict.fingerprint,
        bundle=verdict.candidate,
        holdout=candidate.config.holdout.digest,
        policy=verdict.policy,
        pointer_md5=candidate.pointer_md5,
        source=candidate.source,
        date=target.source_date,
        merge_request=parse_merge_request(target.source_message),
        data=candidate.data,
        verdict=make_verdict_digest(verdict),
        metrics=make_metrics(verdict),
        previous=carried.manifest.version if carried else "",
        waiver=waiver,
    )
