"""The cluster's pipelines, compiled by the real KFP: the same bytes everywhere, only data, and they run."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]  # no stubs here
from kfp import components

from gitops.adapters.kfp.compilation import make_own_steps, read_compiled
from gitops.engines import OWN_STEPS, StepPlacement
from gitops.errors import InputError
from tests.compilation_kit import (
    DIGEST,
    PLACED,
    RELEASE,
    ROOT,
    STORE,
    compile_in,
    make_request,
    place,
    production,
)

__all__ = ["production"]


def test_only_the_release_step_names_the_release_secret(production: bytes) -> None:
    placed = place(
        production,
        production=True,
        release=StepPlacement(secrets=(RELEASE,)),
        prepare=StepPlacement(secrets=(STORE,)),
        absent=StepPlacement(secrets=(RELEASE,)),
    )
    assert placed.platform is not None
    attached = placed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    granted = {label for label, body in attached.items() if "secretAsEnv" in body}
    assert granted == {"exec-release", "exec-prepare"}
    naming = {label for label, body in attached.items() if '"release"' in json.dumps(body)}
    assert naming == {"exec-release"}
    assert "GITOPS_GIT_TOKEN" not in yaml.safe_dump(placed.spec)


def test_every_step_of_production_runs_in_the_one_image_and_takes_nothing_from_kubeflows_cache(
    production: bytes,
) -> None:
    spec = place(production, production=True).spec
    executors = spec["deploymentSpec"]["executors"]
    assert {body["container"]["image"] for body in executors.values()} == {DIGEST}
    graphs = [spec["root"], *spec["components"].values()]
    cached = {
        name: bool(task["cachingOptions"])
        for graph in graphs
        for name, task in graph.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }
    assert cached == dict.fromkeys(("fit", *OWN_STEPS[:2], *OWN_STEPS[3:6]), False)


def test_an_experiment_with_a_production_graph_is_not_placed(production: bytes) -> None:
    with pytest.raises(InputError, match="an experiment has the step"):
        place(production)


def test_what_a_schedule_starts_is_placed(tmp_path: Path) -> None:
    placed = place(compile_in(tmp_path, {"produce": True}), production=True)
    assert placed.spec["deploymentSpec"]["executors"].keys() == {"exec-produce"}


def test_each_of_the_toolkits_steps_is_known_as_genuine() -> None:
    assert make_own_steps().keys() == set(OWN_STEPS)


# The same bytes.


def copy_sources(folder: Path) -> Path:
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    return folder


def mask_archive(value: Any) -> Any:
    """Hide an embedded archive in a tree of values."""
    if isinstance(value, dict):
        return {key: mask_archive(each) for key, each in value.items()}
    if isinstance(value, list):
        return [mask_archive(each) for each in value]
    if isinstance(value, str) and "__KFP_EMBEDDED_ARCHIVE_B64 = '" in value:
        before, _, rest = value.partition("__KFP_EMBEDDED_ARCHIVE_B64 = '")
        return before + "ARCHIVE" + rest.partition("'")[2]
    return value


def test_two_compilations_in_two_folders_at_two_times_are_the_same_bytes(tmp_path: Path) -> None:
    """One of them has Python's caches, other times, and a private mode; no folder is told."""
    one = copy_sources(tmp_path / "one")
    other = copy_sources(tmp_path / "a" / "deeper" / "földer with spaces")
    for path in sorted(other.rglob("*.py")):
        os.utime(path, (1, 1_000_000_000))
        path.chmod(0o600)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(other)], check=True)
    raw, placed = zip(
        *(
            (content, place(content, production=True))
            for root in (one, other)
            for content in (compile_in(root / "out", make_request(root, production=True)),)
        ),
        strict=True,
    )
    assert raw[0] != raw[1]
    assert placed[0].content == placed[1].content
    assert placed[0].digest == placed[1].digest
    assert str(tmp_path).encode() not in raw[0] + placed[0].content


def test_one_character_of_training_code_changes_the_archive_and_nothing_else(
    tmp_path: Path,
) -> None:
    root = copy_sources(tmp_path / "sources")
    request = make_request(root, production=True)
    before = place(compile_in(tmp_path / "1", request), production=True)
    code = root / "pipelines/fuel/train.py"
    code.write_text(code.read_text("utf-8").replace("n_jobs=1", "n_jobs=2", 1), "utf-8")
    after = place(compile_in(tmp_path / "2", request), production=True)
    assert before.digest != after.digest
    assert before.spec != after.spec
    assert mask_archive(before.spec) == mask_archive(after.spec)
    lines = difflib.unified_diff(
        before.content.decode().splitlines(), after.content.decode().splitlines(), n=0, lineterm=""
    )
    changed = [line for line in lines if line[0] in "+-" and line[:3] not in ("---", "+++")]
    assert len(changed) == 2
    assert all("__KFP_EMBEDDED_ARCHIVE_B64" in line for line in changed)


# What the compiling process leaves is data.


def test_code_that_is_compiled_sees_no_token_and_can_leave_no_link(tmp_path: Path) -> None:
    code = tmp_path / "sources" / "pipeline.py"
    code.parent.mkdir()
    code.write_text(
        "import os, pathlib\n"
        f"pathlib.Path({str(tmp_path)!r}, 'seen').write_text(str(dict(os.environ)))\n"
        "raise RuntimeError('no pipeline')\n"
    )
    place_of = {"root": str(code.parent), "file": "pipeline.py", "function": "train"}
    with pytest.raises(InputError, match="RuntimeError: no pipeline"):
        compile_in(tmp_path / "out", {"train": place_of, "experimental": place_of})
    assert "canary" not in (tmp_path / "seen").read_text()


def test_only_a_plain_file_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a token")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("link.yaml", "pipe.yaml", "absent.yaml", "."):
        with pytest.raises(InputError, match="the compiled pipeline"):
            read_compiled(tmp_path / name)


# It still runs.

_EMBEDS = """
from pathlib import Path
from kfp import dsl
from gitops.steps import IMAGE

WORD = str(Path(__file__).with_name("word.py"))

@dsl.component(base_image=IMAGE, install_kfp_package=False, embedded_artifact_path=WORD)
def tell(text: str, code: dsl.EmbeddedInput[dsl.Dataset]) -> str:
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(code.path).parent))
    from word import WORD
    return text + WORD

def make(_):
    @dsl.pipeline(name="tell-it")
    def tell_it(text: str) -> str:
        return tell(text=text).output
    return tell_it
"""
_RUN = """
import sys
from kfp import components, local
pipeline = components.load_component_from_text(open(sys.argv[1], encoding="utf-8").read())
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
print("SAID", pipeline(text="good ").output)
"""


def test_a_placed_pipeline_loads_in_kfp_and_runs(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "pipeline.py").write_text(_EMBEDS)
    (sources / "word.py").write_text('WORD = "mörning"\n')
    name = {"root": str(sources), "file": "pipeline.py", "function": "tell"}
    request = {"train": name, "experimental": {**name, "function": "make"}}
    placed = place(compile_in(tmp_path / "out", request), tell=PLACED)
    (tmp_path / "placed.yaml").write_bytes(placed.content)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path / "placed.yaml"), str(tmp_path / "root")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "SAID good mörning" in done.stdout, done.stdout + done.stderr


def test_the_production_pipeline_loads_in_kfp(production: bytes) -> None:
    placed = place(production, production=True, release=PLACED)
    loaded = components.load_component_from_text(placed.content.decode())
    assert loaded.pipeline_spec.pipeline_info.name == "production"
    assert json_format.MessageToDict(loaded.platform_spec) == placed.platform
