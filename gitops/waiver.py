"""A verdict that does not pass and a person's decision come in; a waiver of exactly that verdict goes out.

And back: the waiver files of a commit come in, hostile until proven harmless; the one that fits a
verdict goes out, or why each of them does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from gitops.errors import InputError
from gitops.gate.verdict import Outcome, Severity, Verdict
from gitops.pointer import SYMLINK, show_path
from gitops.strict_json import as_list, as_object, as_text, check_keys, check_version, parse_object

SCHEMA_VERSION = 1
WAIVER_LIMIT = 1 << 18
# How long a decision counts unless it says otherwise.
VALID_DAYS = 30

_LINE_LENGTH = 300
_DIGEST = "sha256:[0-9a-f]{64}"
_LINE = r"[^\x00-\x1f\x7f]{1,300}"
_PATTERNS = {
    "model": "[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?",
    "by": _LINE,
    "why": _LINE,
    "expires": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
}
_VERDICT_PATTERNS = {
    "key": _DIGEST,
    "outcome": f"{Outcome.FAIL}|{Outcome.INCONCLUSIVE}",
    "reason": r"[^\x00-\x1f\x7f]{0,300}",
    "fingerprint": _DIGEST,
    "candidate": _DIGEST,
    "champion": f"(?:{_DIGEST})?",
    "policy": _DIGEST,
}
_PLAIN_MODES = {"100644", "100755"}
# How many useless waivers a message names before it only counts the rest.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WaivedVerdict:
    """The verdict that is waived: what was judged, and what the gate said.

    Attributes:
        key: digest that binds it to fingerprint, candidate, champion, policy and held-out rows.
        outcome: FAIL or INCONCLUSIVE.
        reason: the gate's sentence, on one line.
        fingerprint: digest of everything the candidate depends on.
        candidate: digest of the candidate's bundle.
        champion: digest of the champion's bundle, empty when there was none.
        policy: digest of the policy applied.
        rows: number of held-out rows.
        findings: the rules that did not pass, sorted.
    """

    key: str
    outcome: Outcome
    reason: str
    fingerprint: str
    candidate: str
    champion: str
    policy: str
    rows: int
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A person's decision to release all the same.

    Attributes:
        model: name in gitops.yaml.
        by: who decided, usually `Name <e-mail>`.
        why: the reason, on one line.
        expires: the last day on which it counts.
        verdict: what it waives, and nothing else.
    """

    model: str
    by: str
    why: str
    expires: date
    verdict: WaivedVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverFile:
    """What lies in the folder of waivers: its bytes, or why they were not read."""

    path: str
    content: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """The waiver that fits a verdict, and its path; or, without one, why each of them does nothing."""

    waiver: Waiver | None = None
    path: str = ""
    void: tuple[str, ...] = ()


def one_line(text: str) -> str:
    """Return text that fits a commit message: no control characters, bounded, never a trailer."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(plain.split())[:_LINE_LENGTH].rstrip()


def make_waiver_path(folder: str, key: str) -> str:
    """Return where the waiver of a verdict lies: one file per verdict."""
    return f"{folder}/{key.removeprefix('sha256:')[:16]}.json"


def make_waiver(verdict: Verdict, *, by: str, why: str, expires: date, today: date) -> Waiver:
    """Record a decision about a verdict.

    Raises InputError when there is nothing to waive, nobody decides, no reason is given, or the
    last day is over.
    """
    if verdict.outcome not in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        raise InputError(f"nothing to waive: the verdict on {verdict.model} is {verdict.outcome}")
    person, reason = one_line(by), one_line(why)
    if not reason:
        raise InputError("a waiver without a reason records nothing", hint="--reason TEXT")
    if not person:
        raise InputError(
            "nobody is named who decides",
            hint="git config user.name NAME && git config user.email ADDRESS, or --by NAME",
        )
    if expires < today:
        raise InputError(f"{expires} is over", hint="give a later day: --expires YYYY-MM-DD")
    return Waiver(
        model=verdict.model,
        by=person,
        why=reason,
        expires=expires,
        verdict=_make_waived(verdict),
    )


def _make_waived(verdict: Verdict) -> WaivedVerdict:
    return WaivedVerdict(
        key=verdict.key,
        outcome=verdict.outcome,
        reason=one_line(verdict.reason),
        fingerprint=verdict.fingerprint,
        candidate=verdict.candidate,
        champion=verdict.champion,
        policy=verdict.policy,
        rows=verdict.rows,
        findings=list_refused(verdict),
    )


def list_refused(verdict: Verdict) -> tuple[str, ...]:
    """Return the rules that kept the verdict from passing."""
    refused = (Outcome.FAIL, Outcome.INCONCLUSIVE)
    blocking = [f for f in verdict.findings if f.severity is Severity.BLOCK]
    return tuple(sorted({one_line(f.rule) for f in blocking if f.outcome in refused}))


def parse_day(text: str) -> date:
    """Read a day written as 2026-12-31; raise InputError for anything else."""
    try:
        return date.fromisoformat(as_text(text, "the day", _PATTERNS["expires"]))
    except ValueError as error:
        raise InputError(f"{text[:60]!r} is not a day", hint="write it as 2026-12-31") from error


def waiver_to_json(waiver: Waiver) -> dict[str, Any]:
    """Return the document of a waiver, as waiver.schema.json describes it."""
    verdict = waiver.verdict
    texts = {name: str(getattr(verdict, name)) for name in _VERDICT_PATTERNS}
    return {
        "schema_version": SCHEMA_VERSION,
        "model": waiver.model,
        "by": waiver.by,
        "why": waiver.why,
        "expires": waiver.expires.isoformat(),
        "verdict": {**texts, "rows": verdict.rows, "findings": list(verdict.findings)},
    }


def parse_waiver(content: bytes, path: str) -> Waiver:
    """Read a waiver strictly; raise InputError naming `path` and what is wrong with it."""
    try:
        return waiver_from_json(parse_object(content, limit=WAIVER_LIMIT))
    except ValueError as error:
        raise InputError(
            f"not a waiver: {error}", where=path, hint="write it with: gitops waive MODEL"
        ) from error


def waiver_from_json(body: dict[str, Any]) -> Waiver:
    """Read a waiver's document back, believing nothing; raise ValueError."""
    check_keys(body, {"schema_version", "verdict", *_PATTERNS})
    check_version(body, SCHEMA_VERSION)
    texts = {key: _line(body[key], key, _PATTERNS[key]) for key in _PATTERNS}
    return Waiver(
        model=texts["model"],
        by=texts["by"],
        why=texts["why"],
        expires=date.fromisoformat(texts["expires"]),
        verdict=_waived_from_json(as_object(body["verdict"], "verdict")),
    )


def _waived_from_json(body: dict[str, Any]) -> WaivedVerdict:
    check_keys(body, {"rows", "findings", *_VERDICT_PATTERNS}, "verdict.")
    patterns = _VERDICT_PATTERNS.items()
    texts = {key: _line(body[key], f"verdict.{key}", pattern) for key, pattern in patterns}
    rows, listed = body["rows"], as_list(body["findings"], "verdict.findings")
    if type(rows) is not int or rows < 0:
        raise ValueError(f"verdict.rows has the unusable value {str(rows)[:80]!r}")
    findings = tuple(_line(rule, "verdict.findings", _LINE) for rule in listed)
    if not findings:
        raise ValueError("verdict.findings is empty: it waives nothing")
    outcome = Outcome(texts.pop("outcome"))
    return WaivedVerdict(**texts, outcome=outcome, rows=rows, findings=findings)


def _line(value: object, key: str, pattern: str) -> str:
    """Return one line that shows all it says: no control or invisible characters."""
    text = as_text(value, key, pattern)
    if not text.isprintable():
        raise ValueError(f"{key} has characters that do not print")
    return text


def is_waiver_path(folder: str, path: str) -> bool:
    """Tell whether a path at or below the folder is meant as a waiver: it either fits or says why not."""
    return path == folder or path.endswith(".json")


def find_entry_problem(folder: str, path: str, mode: str, size: int) -> str:
    """Say why an entry of a Git tree, by path, mode and bytes, is no waiver; empty when it may be."""
    if mode == SYMLINK:
        return "it is a symbolic link"
    if mode not in _PLAIN_MODES:
        return "it is not a plain file"
    if path.rpartition("/")[0] != folder:
        return f"it does not lie directly in {folder}/"
    return f"it is larger than {WAIVER_LIMIT:,} bytes" if size > WAIVER_LIMIT else ""


def weigh_waivers(files: Iterable[WaiverFile], verdict: Verdict, *, today: date) -> Weighed:
    """Find the waiver that lets exactly this verdict through on this day, or say why none does."""
    void: list[tuple[int, str, str]] = []
    for file in files:
        closeness, reason, waiver = _weigh(file, verdict, today)
        if waiver is not None and not reason:
            return Weighed(waiver=waiver, path=file.path)
        if reason:
            void.append((-closeness, show_path(file.path), reason))
    void.sort()
    told = [f"{path} does nothing: {reason}" for _, path, reason in void[:_NAMED]]
    more = [f"and so do {len(void) - _NAMED} more"] if len(void) > _NAMED else []
    return Weighed(void=(*told, *more))


def _weigh(file: WaiverFile, verdict: Verdict, today: date) -> tuple[int, str, Waiver | None]:
    """Return how close a file is to fitting, why it does not, and the waiver if it is one.

    What cannot be read is named before what was about something else.
    """
    if file.problem:
        return 100, file.problem, None
    try:
        waiver = parse_waiver(file.content, file.path)
    except InputError as error:
        return 100, error.what, None
    folder, _, name = file.path.rpartition("/")
    if file.path != make_waiver_path(folder, waiver.verdict.key):
        return 100, f"{name[:60]!r} is not the name for the verdict that it waives", None
    differences = _list_differences(waiver, verdict)
    if differences:
        # An old waiver differs in nearly everything; a voided one in one thing.
        return -len(differences), f"it is for another verdict: {'; '.join(differences)}", waiver
    expired = f"it expired on {waiver.expires}" if waiver.expires < today else ""
    return 100, expired, waiver


def _list_differences(waiver: Waiver, verdict: Verdict) -> list[str]:
    """Name everything in which a waiver is not about this verdict."""
    waived, now = waiver.verdict, _make_waived(verdict)
    same_inputs = waived.fingerprint == now.fingerprint
    beyond = [rule for rule in now.findings if rule not in waived.findings]
    found = {
        f"it is about {waiver.model}": waiver.model != verdict.model,
        "code, data or parameters changed": not same_inputs,
        "training gave other bytes": same_inputs and waived.candidate != now.candidate,
        "champion changed": waived.champion != now.champion,
        "policy changed": waived.policy != now.policy,
        f"{waived.outcome} was waived, and the gate says {now.outcome}": (
            waived.outcome is not now.outcome
        ),
        f"{', '.join(beyond[:3])} was not waived": bool(beyond),
        "the gate gave another reason": waived.reason != now.reason,
        "held-out rows changed": waived.rows != now.rows,
    }
    named = [difference for difference, holds in found.items() if holds]
    return named or (["held-out rows changed"] if waived.key != now.key else [])
