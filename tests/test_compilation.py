"""The cluster's pipelines, compiled by the real KFP: the same bytes everywhere, and nothing taken."""

# No postponed annotations here: KFP reads the annotations of components as they are.

import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]  # no stubs here
from kfp import components, dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from gitops import steps
from gitops.adapters.kfp.compilation import make_own_steps, read_compiled, write_compiled
from gitops.engines import IMAGE, OWN_STEPS, Kubeflow, StepPlacement, StepSecret, Toleration
from gitops.errors import InputError
from gitops.flow.engine import clean_environment, run_pipeline
from gitops.placement import PlacedPipeline, place_pipeline

ROOT = Path(__file__).parent.parent
DIGEST = "registry.example.org/ml/gitops@sha256:" + "a" * 64
RELEASE = StepSecret(name="release", variables=(("token", "GITOPS_GIT_TOKEN"), ("user", "USER")))
STORE = StepSecret(name="store", variables=(("key", "AWS_SECRET_ACCESS_KEY"),))


def kubeflow(placements: Mapping[str, StepPlacement]) -> Kubeflow:
    return Kubeflow(
        host="https://kubeflow.example.org",
        namespace="experiments",
        production_namespace="production",
        image=DIGEST,
        steps=tuple(placements.items()),
    )


def place(
    content: bytes, *, production: bool = False, **placements: StepPlacement
) -> PlacedPipeline:
    return place_pipeline(
        content,
        kubeflow(placements),
        default_image=IMAGE,
        own_steps=make_own_steps(),
        production=production,
    )


# Compiling in the engine's process.


def make_request(root: Path, *, production: bool) -> dict[str, Any]:
    def name(file: str, function: str) -> dict[str, str]:
        return {"root": str(root), "file": file, "function": function}

    request: dict[str, Any] = {
        "train": name("pipelines/fuel/pipeline.py", "train"),
        "experimental": name("pipelines/experimental.py", "make_experimental"),
    }
    if production:
        request["production"] = name("pipelines/production.py", "make_production")
    return request


def compile_in(folder: Path, request: dict[str, Any]) -> bytes:
    """Compile as `gitops run` does: in a process of its own, with a clean environment."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = clean_environment({**os.environ, "GITOPS_KFP_TOKEN": "canary"})
    outputs, ran = run_pipeline(
        {**request, "compile": str(folder / "pipeline.yaml")},
        folder,
        folder / "compile.log",
        environ=environ,
    )
    assert outputs == {"compiled": str(folder / "pipeline.yaml")}
    assert ran == ()
    return read_compiled(folder / "pipeline.yaml")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The production pipeline of this repository's fuel model, as it was compiled."""
    return compile_in(tmp_path_factory.mktemp("production"), make_request(ROOT, production=True))


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


# The form that KFP itself writes.


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]  # kfp ships no types
def fit(text: str) -> str:
    """Stand for a team's training."""
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]  # kfp ships no types
def my_look(text: str) -> str:
    """Stand for a team's second step."""
    return text


Change = Callable[[dsl.PipelineTask], Any]


def compile_with(path: Path, change: Change) -> bytes:
    """Compile `fit`, `my_look`, and `fit` again; `change` is what a team's code does to each `fit`."""

    @dsl.pipeline(name="team")  # type: ignore[untyped-decorator]  # kfp ships no types
    def team(text: str) -> str:
        first = fit(text=text)
        look = my_look(text=first.output)
        last = fit(text=look.output)
        change(first)
        change(last)
        return last.output  # type: ignore[no-any-return]  # a KFP channel

    write_compiled(team, path / "team.yaml")
    return read_compiled(path / "team.yaml")


@cache
def plain(path: Path) -> bytes:
    return compile_with(path, lambda task: None)


PLACED = StepPlacement(
    cpu="1500m",
    memory="4Gi",
    accelerator="nvidia.com/gpu",
    accelerators=2,
    node_selector=(("pool", "train"),),
    tolerations=(
        Toleration(key="gpu", value="yes", effect="NoSchedule"),
        Toleration(key="spot", operator="Exists"),
    ),
    secrets=(STORE, RELEASE),
    retries=3,
)


LIMITED = {"activeDeadlineSeconds": "21600"}


def by_kfp(task: dsl.PipelineTask) -> None:
    """Say with KFP's own functions what `PLACED` says."""
    task.set_cpu_limit("1500m").set_cpu_request("1500m")
    task.set_memory_limit("4Gi").set_memory_request("4Gi")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
    task.set_retry(3)
    kubernetes.set_timeout(task, 21600)
    kubernetes.add_node_selector(task, "pool", "train")
    kubernetes.add_toleration(task, "gpu", "Equal", "yes", "NoSchedule")
    kubernetes.add_toleration(task, "spot", "Exists")
    for secret in (STORE, RELEASE):
        kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables))


def test_a_placement_is_written_exactly_as_kfp_writes_it(tmp_path: Path) -> None:
    placed = place(plain(tmp_path), fit=PLACED)
    written = compile_with(tmp_path, by_kfp).replace(IMAGE.encode(), DIGEST.encode())
    spec, platform = yaml.safe_load_all(written)
    # The step beside it, of which nothing is said, may not run for ever either.
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-my-look"] = LIMITED
    assert [placed.spec, placed.platform] == [spec, platform]


@pytest.mark.parametrize("memory", ["1000000", "2M", "2Mi", "3G", "3Gi", "1T", "1Ti", "7Ki"])
@pytest.mark.parametrize("cpu", ["2", "0.5", "250m"])
def test_amounts_are_kfps_own(tmp_path: Path, cpu: str, memory: str) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        task.set_cpu_limit(cpu).set_cpu_request(cpu)
        task.set_memory_limit(memory).set_memory_request(memory)

    placed = place(plain(tmp_path), fit=StepPlacement(cpu=cpu, memory=memory))
    theirs = next(yaml.safe_load_all(compile_with(tmp_path, ask)))
    for label in ("exec-fit", "exec-fit-2"):
        amounts, expected = (
            spec["deploymentSpec"]["executors"][label]["container"]["resources"]
            for spec in (placed.spec, theirs)
        )
        assert amounts.keys() == expected.keys()
        assert amounts == {
            key: pytest.approx(value) if isinstance(value, float) else value
            for key, value in expected.items()
        }


def test_kfps_own_messages_take_the_placed_pipeline(production: bytes) -> None:
    """Parsed strictly: an unknown field is an error."""
    placed = place(production, production=True, release=PLACED, fit=PLACED)
    assert placed.platform is not None
    json_format.ParseDict(placed.spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(placed.platform, pipeline_spec_pb2.PlatformSpec())
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(placed.spec["deploymentSpec"], deployment)
    assert deployment.executors["exec-fit"].container.resources.resource_cpu_limit == "1500m"
    attached = placed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for body in attached.values():
        message = json_format.ParseDict(
            body, kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        )
        assert json_format.MessageToDict(message) == body


# What a team's code may ask for itself.


ALLOWED: dict[str, tuple[Change, Any]] = {
    "node": (
        lambda task: kubernetes.add_node_selector(task, "disk", "ssd"),
        {"nodeSelector": {"labels": {"disk": "ssd"}}},
    ),
    "toleration": (
        lambda task: kubernetes.add_toleration(task, "gpu", "Exists"),
        {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
    ),
    "pull policy": (
        lambda task: kubernetes.set_image_pull_policy(task, "Always"),
        {"imagePullPolicy": "Always"},
    ),
    "time": (
        lambda task: kubernetes.set_timeout(task, 600),
        {"activeDeadlineSeconds": "600"},
    ),
}


@pytest.mark.parametrize(("change", "expected"), ALLOWED.values(), ids=ALLOWED)
def test_a_team_may_say_where_and_how_long(change: Change, expected: Any, tmp_path: Path) -> None:
    platform = place(compile_with(tmp_path, change)).platform
    assert platform is not None
    attached = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    allowed = {**LIMITED, **expected}
    assert attached == {"exec-fit": allowed, "exec-fit-2": allowed, "exec-my-look": LIMITED}


def test_no_pod_outlives_the_deadline_of_gitops_yaml_whatever_its_code_asks_for(
    tmp_path: Path,
) -> None:
    content = compile_with(tmp_path, lambda task: kubernetes.set_timeout(task, 10**6))
    platform = place(content).platform
    assert platform is not None
    attached = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {body["activeDeadlineSeconds"] for body in attached.values()} == {"21600"}


def test_gitops_yaml_adds_to_what_a_team_says_and_wins(tmp_path: Path) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        kubernetes.add_node_selector(task, "disk", "ssd")
        kubernetes.add_node_selector(task, "pool", "cheap")
        kubernetes.add_toleration(task, "spot", "Exists")
        task.set_cpu_limit("64")

    placed = place(compile_with(tmp_path, ask), fit=PLACED)
    assert placed.platform is not None
    attached = placed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-fit"]
    assert attached["nodeSelector"]["labels"] == {"disk": "ssd", "pool": "train"}
    assert [each["key"] for each in attached["tolerations"]] == ["spot", "gpu"]
    resources = placed.spec["deploymentSpec"]["executors"]["exec-fit"]["container"]["resources"]
    assert resources["resourceCpuLimit"] == "1500m"


REFUSED: dict[str, tuple[Change, str]] = {
    "secret as variable": (
        lambda task: kubernetes.use_secret_as_env(task, "release", {"token": "T"}),
        "the secret 'release'",
    ),
    "secret named by a step": (
        lambda task: kubernetes.use_secret_as_env(task, my_look(text="x").output, {"token": "T"}),
        "the secret",
    ),
    "secret as files": (
        lambda task: kubernetes.use_secret_as_volume(task, "release", "/secret"),
        "secretAsVolume",
    ),
    "image pull secret": (
        lambda task: kubernetes.set_image_pull_secrets(task, ["release"]),
        "imagePullSecret",
    ),
    "volume": (lambda task: kubernetes.mount_pvc(task, "models", "/models"), "pvcMount"),
    "ephemeral volume": (
        lambda task: kubernetes.add_ephemeral_volume(task, "v", "/v", ["ReadWriteOnce"], "1Gi"),
        "genericEphemeralVolume",
    ),
    "empty folder": (lambda task: kubernetes.empty_dir_mount(task, "v", "/v"), "emptyDirMounts"),
    "settings as files": (
        lambda task: kubernetes.use_config_map_as_volume(task, "settings", "/settings"),
        "configMapAsVolume",
    ),
    "settings as variable": (
        lambda task: kubernetes.use_config_map_as_env(task, "settings", {"a": "A"}),
        "configMapAsEnv",
    ),
    "field of the pod": (
        lambda task: kubernetes.use_field_path_as_env(task, "A", "spec.serviceAccountName"),
        "fieldPathAsEnv",
    ),
    "another user": (
        lambda task: kubernetes.set_security_context(task, run_as_user=0),
        "securityContext",
    ),
    "label": (
        lambda task: kubernetes.add_pod_label(task, "access-ml-pipeline", "true"),
        "podMetadata",
    ),
    "annotation": (
        lambda task: kubernetes.add_pod_annotation(
            task, "vault.hashicorp.com/agent-inject", "true"
        ),
        "podMetadata",
    ),
    "node by an input": (
        lambda task: kubernetes.add_node_selector_json(task, {"a": "b"}),
        "nodeSelectorJson",
    ),
}


@pytest.mark.parametrize(("change", "asked"), REFUSED.values(), ids=REFUSED)
def test_a_merge_request_takes_nothing_that_it_is_not_granted(
    change: Change, asked: str, tmp_path: Path
) -> None:
    """The release step's grant is there, and is not `fit`'s."""
    content = compile_with(tmp_path, change)
    with pytest.raises(InputError, match=f"'fit'.*{asked}"):
        place(content, release=StepPlacement(secrets=(RELEASE,)))


def test_a_team_may_repeat_exactly_what_it_is_granted(tmp_path: Path) -> None:
    def ask(task: dsl.PipelineTask) -> None:
        kubernetes.use_secret_as_env(task, "store", {"key": "AWS_SECRET_ACCESS_KEY"})

    granted = StepPlacement(secrets=(STORE,))
    content = compile_with(tmp_path, ask)
    assert place(content, fit=granted).content == place(plain(tmp_path), fit=granted).content
    with pytest.raises(InputError, match="'fit' asks for the secret 'store'"):
        place(content, my_look=granted)
    other = StepPlacement(secrets=(StepSecret(name="store", variables=(("key", "OTHER"),)),))
    with pytest.raises(InputError, match="'fit' asks for the secret 'store'"):
        place(content, fit=other)


def test_code_attaches_nothing_to_the_toolkits_steps(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any]) -> None:
        kubernetes.add_node_selector(
            steps.prepare(request=request), "kubernetes.io/hostname", "evil"
        )

    write_compiled(experimental, tmp_path / "evil.yaml")
    with pytest.raises(InputError, match="code attaches nothing to it"):
        place(read_compiled(tmp_path / "evil.yaml"))


def test_a_request_through_conditions_and_loops_is_the_runs_own(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any], text: str) -> None:
        with dsl.If(text == "yes"), dsl.ParallelFor([1, 2]):
            steps.prepare(request=request)

    write_compiled(experimental, tmp_path / "nested.yaml")
    assert "exec-prepare" in str(place(read_compiled(tmp_path / "nested.yaml")).spec)


def test_a_request_of_ones_own_is_refused(tmp_path: Path) -> None:
    @dsl.pipeline(name="experimental")  # type: ignore[untyped-decorator]  # kfp ships no types
    def experimental(request: dict[str, Any]) -> None:
        with dsl.ParallelFor([{"origin": "https://evil.example"}]) as forged:
            steps.prepare(request=forged)

    write_compiled(experimental, tmp_path / "forged.yaml")
    with pytest.raises(InputError, match="not the run's own"):
        place(read_compiled(tmp_path / "forged.yaml"))


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
