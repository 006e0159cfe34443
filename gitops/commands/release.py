"""Make a judged model a version: push its bytes, commit its pointer, tag it.

Ships what the last verdict is about, if it passed, or a waiver on the target branch lets it through,
and if it still speaks about exactly this commit, policy and champion. Killed at any moment and run
again, it converges; run twice, it changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.errors import ExitCode

if TYPE_CHECKING:
    import argparse

    from gitops.release import Release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, and which commit was judged."""
    parser.add_argument("model", metavar="MODEL", help="name of the model in gitops.yaml")
    parser.add_argument("--head", default="HEAD", metavar="REV", help="commit to release (HEAD)")


def run(arguments: argparse.Namespace) -> int:
    """Release, write release.json, say what happened."""
    from gitops import log
    from gitops.flow.releasing import release_last
    from gitops.flow.trust import require_reviewed
    from gitops.flow.waiving import read_today
    from gitops.flow.workspace import open_workspace

    workspace = open_workspace(Path.cwd(), os.environ, head=arguments.head)
    require_reviewed(workspace.request)
    model = workspace.model(arguments.model)
    with log.section("release", f"Release {model.name}"):
        release = release_last(
            workspace, model, today=read_today(), on_step=lambda step: log.say(f"  {step}")
        )
    log.say(render_release(release))
    return ExitCode.DONE


def render_release(release: Release) -> str:
    """Return one line about a release."""
    state = "released" if release.created else "is released already"
    waiver = release.manifest.waiver
    waived = f", waived by {waiver.by}" if waiver else ""
    return f"{release.tag} {state}: commit {release.commit[:12]}{waived}"
