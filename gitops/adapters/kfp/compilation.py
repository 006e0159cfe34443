"""A KFP pipeline comes in; its YAML, and what the toolkit's genuine steps execute, go out."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from gitops.compiled import MAX_BYTES
from gitops.engines import OWN_STEPS
from gitops.errors import InputError
from gitops.placement import OwnStep


def write_compiled(pipeline: Any, output: Path) -> None:
    """Write a pipeline as YAML: the pipeline spec, and a platform spec when something is attached.

    Runs where the team's code was imported: what it writes is data for `place_pipeline` to judge.
    """
    from kfp import compiler

    output.parent.mkdir(parents=True, exist_ok=True)
    # KFP chooses the format by the ending.
    partial = output.with_name(output.name + ".partial.yaml")
    compiler.Compiler().compile(pipeline, str(partial))
    partial.replace(output)


def read_compiled(path: Path) -> bytes:
    """Read what a compiling process left, at most one byte more than a pipeline may have.

    Raises InputError unless it is a plain file: a team's code ran there, and a link or a pipe in its
    place would have the trusted process read another file, or wait for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"the compiled pipeline cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError("the compiled pipeline is not a plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def make_own_steps() -> dict[str, OwnStep]:
    """Return what each of the toolkit's steps executes, by name; for `place_pipeline`.

    Call it where no code of a team was imported.
    """
    from gitops import steps

    containers = {
        name: getattr(steps, name).component_spec.implementation.container for name in OWN_STEPS
    }
    return {
        name: OwnStep(command=tuple(container.command), args=tuple(container.args))
        for name, container in containers.items()
    }
