"""A tiny pipeline of two steps, one of which gets a secret; its compiled bytes go out."""

# kfp ships no types:
# mypy: disable-error-code="untyped-decorator"

from pathlib import Path

from kfp import compiler, dsl, kubernetes
from kfp.dsl import Artifact, Input, Output


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def prepare(word: str, rows: Output[Artifact]) -> None:
    """Write what this step can see of the secret and of the job."""
    import os
    from pathlib import Path

    seen = [
        word,
        os.environ.get("PUSH_TOKEN", "no secret"),
        os.environ.get("CI_JOB_TOKEN", "no job"),
    ]
    Path(rows.path).write_text(" / ".join(seen), "utf-8")
    print("saw", " / ".join(seen))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def release(rows: Input[Artifact], count: int) -> str:
    """Return what both steps saw; a negative count fails."""
    import os
    from pathlib import Path

    print("\x1b[31mreleasing\x1b[0m", count)
    if count < 0:
        msg = "a negative count"
        raise ValueError(msg)
    return f"{Path(rows.path).read_text('utf-8')} | {len(os.environ['PUSH_TOKEN'])} {count}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def linger(seconds: int) -> str:
    """Take some time, so that a run can be met while it goes on."""
    import time

    print("lingering", flush=True)
    time.sleep(seconds)
    return "done"


@dsl.pipeline(name="tiny")
def tiny(word: str, count: int = 3) -> str:
    """Prepare rows without a secret, then release with one."""
    rows = prepare(word=word)
    released = release(rows=rows.outputs["rows"], count=count)
    kubernetes.use_secret_as_env(
        released, secret_name="push", secret_key_to_env={"token": "PUSH_TOKEN"}
    )
    return released.output  # type: ignore[no-any-return]  # a KFP channel


@dsl.pipeline(name="slow")
def slow(seconds: int = 60) -> str:
    """Go on for some time."""
    return linger(seconds=seconds).output  # type: ignore[no-any-return]  # a KFP channel


IMAGE = "python:3.11"


def compile_tiny(folder: Path, image: str = IMAGE) -> bytes:
    """Return the compiled pipeline `tiny`; on a real cluster the image must hold kfp."""
    return _compile(tiny, folder / "tiny.yaml", image)


def compile_slow(folder: Path, image: str = IMAGE) -> bytes:
    """Return the compiled pipeline `slow`."""
    return _compile(slow, folder / "slow.yaml", image)


def _compile(pipeline: object, path: Path, image: str) -> bytes:
    compiler.Compiler().compile(pipeline, str(path))
    return path.read_bytes().replace(f"image: {IMAGE}".encode(), f"image: {image}".encode())
