"""Facts about a repository and the machine it is checked out on come in; advice goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitops.doctor.facts import (
    Advice,
    ConfigState,
    DvcConfigState,
    Level,
    RemoteState,
    Tools,
    Unread,
    make_failure,
    make_ok,
    make_unknown,
    make_warning,
)
from gitops.doctor.pins import Kind, Reference

OLDEST_PYTHON = (3, 11)
OLDEST_GIT = (2, 30)
MOST_NAMED = 3


def check_tools(tools: Tools) -> Advice:
    """Check what a runner's image must have."""
    python, git = _version(tools.python), _version(tools.git or ())
    if tools.git is None:
        return make_failure(
            "tools", "git is not installed here", "install git 2.30 or newer in the image"
        )
    if tools.git < OLDEST_GIT:
        return make_failure(
            "tools", f"git {git} is too old", "install git 2.30 or newer in the image"
        )
    if tools.python < OLDEST_PYTHON:
        return make_failure("tools", f"Python {python} is too old", "use an image with Python 3.11")
    return make_ok("tools", f"Python {python} and git {git} are here")


def check_config(name: str, state: ConfigState | Unread) -> Advice:
    """Check gitops.yaml at one commit."""
    if isinstance(state, Unread):
        return make_unknown(name, state)
    if state.problem:
        return make_failure(name, f"{state.where}: {state.problem}", state.hint or "gitops plan")
    if not state.present:
        hint = "write gitops.yaml (the README shows one), commit it and merge it"
        return make_failure(name, f"there is no gitops.yaml on {state.where}", hint)
    return make_ok(name, f"gitops.yaml is valid on {state.where}")


def check_remote(state: RemoteState | Unread) -> Advice:
    """Check that the default DVC remote answers and has the data of the target branch."""
    name = "data-remote"
    if isinstance(state, Unread):
        return make_unknown(name, state)
    if state.problem:
        hint = "check its url, the network and the credentials in .dvc/config.local"
        return make_failure(name, f"{state.address}: {state.problem}", state.hint or hint)
    if state.missing:
        what = f"{state.address} lacks {_name_some(state.missing)}"
        return make_failure(name, what, "dvc push, from where the data is")
    if not state.pointers:
        says = f"{state.address}: no model's data is tracked yet, so it was asked for nothing"
        return Advice(name=name, level=Level.UNKNOWN, says=says, next="dvc add your data")
    return make_ok(name, f"{state.address} has the data of all models")


def check_dvc_config(state: DvcConfigState | Unread) -> Advice:
    """Check that nothing replaces the target branch's `.dvc/config`."""
    name = "data-config"
    if isinstance(state, Unread):
        return make_unknown(name, state)
    if state.tracked_local:
        what = "the repository carries a .dvc/config.local, which would override every clone's"
        return make_failure(name, what, "git rm --cached .dvc/config.local")
    if state.overridden:
        what = f"this machine's own DVC config replaces {_name_some(state.overridden)}"
        return make_warning(
            name, what, "dvc config --local --list, and unset what is not a credential"
        )
    if state.changed:
        what = "this commit's .dvc/config is not the target branch's, which is the one that counts"
        return make_warning(
            name, what, "git diff origin/main -- .dvc/config; it counts once merged"
        )
    return make_ok(name, "the target branch's .dvc/config is not overridden here")


def check_pins(references: Sequence[Reference] | Unread) -> tuple[Advice, ...]:
    """Check that images and includes of the CI files cannot change under our feet."""
    if isinstance(references, Unread):
        return tuple(make_unknown(name, references) for name in _PINS.values())
    return tuple(
        _check_pins(kind, [found for found in references if found.kind is kind]) for kind in Kind
    )


_PINS = {Kind.IMAGE: "images", Kind.INCLUDE: "includes"}
_HOW = {
    Kind.IMAGE: "name it by its digest: IMAGE@sha256:…",
    Kind.INCLUDE: "give the full commit id as its ref or version, or an integrity to a remote one",
}


def _check_pins(kind: Kind, references: Sequence[Reference]) -> Advice:
    name = _PINS[kind]
    loose = [found for found in references if found.pinned is False]
    hidden = [found for found in references if found.pinned is None]
    if loose:
        return make_warning(
            name, f"may change without a commit: {_name_references(loose)}", _HOW[kind]
        )
    if hidden:
        what = f"a variable hides what it is: {_name_references(hidden)}"
        return Advice(name=name, level=Level.UNKNOWN, says=what, next=_HOW[kind])
    if kind is Kind.IMAGE and not references:
        what = "no CI file names an image, so the runner decides"
        return make_warning(name, what, "name one under `default:`, by its digest")
    return make_ok(name, f"all {name} of the CI files are pinned")


def _version(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))


def _name_references(references: Sequence[Reference]) -> str:
    return _name_some([f"{found.name} ({found.where})" for found in references])


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
