"""What a stranger's pipeline may not take with it to the cluster, and how its files are packed."""

from __future__ import annotations

import base64
import gzip
import io
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.compiled import parse_compiled
from gitops.embedding import (
    MAX_BYTES,
    MAX_MEMBERS,
    Member,
    pack_members,
    repack_archive,
    repack_source,
)
from gitops.engines import OWN_STEPS, Kubeflow, StepPlacement, StepSecret
from gitops.errors import InputError
from gitops.placement import OwnStep, PlacedPipeline, place_pipeline

PLACEHOLDER = "placeholder"
IMAGE = "registry.example.org/ml/gitops@sha256:" + "a" * 64
OTHER = "registry.example.org/ml/cuda@sha256:" + "b" * 64
OWN = {
    name: OwnStep(command=("python", name), args=("--function_to_execute", name))
    for name in OWN_STEPS
}
RELEASE_SECRET = StepSecret(name="release", variables=(("token", "GITOPS_GIT_TOKEN"),))


# Archives (T13).

names = st.lists(
    st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters="._- "), min_size=1)
    .filter(lambda part: part not in (".", "..", "__pycache__"))
    .filter(str.isprintable),
    min_size=1,
    max_size=4,
).map("/".join)


def pack(entries: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Pack members as they are named, with Python's own packer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entry(name: str, content: bytes = b"x", **facts: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, content


def unpack(packed: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        return {
            info.name: stream.read() if (stream := archive.extractfile(info)) else None
            for info in archive.getmembers()
        }


def has_no_file_as_folder(files: dict[str, bytes]) -> bool:
    return not any(other.startswith(f"{name}/") for name in files for other in files)


files_strategy = st.dictionaries(names, st.binary(max_size=1500), max_size=6).filter(
    has_no_file_as_folder
)


@given(files_strategy, st.randoms(), st.floats(0, 2**33), st.integers(0, 2**31))
def test_repacking_keeps_names_and_bytes_and_nothing_else(
    files: dict[str, bytes], chance: Any, moment: float, owner: int
) -> None:
    entries = [
        entry(f"./{name}", content, mtime=moment, uid=owner, uname="ann", mode=0o600)
        for name, content in files.items()
    ]
    chance.shuffle(entries)
    repacked = repack_archive(pack(entries), "fit")
    assert unpack(repacked) == files
    assert repack_archive(repacked, "fit") == repacked
    plain = {name: Member(content=content) for name, content in files.items()}
    assert repacked == pack_members(plain)


@given(st.binary(max_size=3000))
def test_any_bytes_are_an_archive_or_refused(content: bytes) -> None:
    """Also bytes that start as a tar archive does: no other exception, no endless loop."""
    start = gzip.decompress(pack([entry("train.py", b"x" * 600)]))[:1024]
    for packed in (content, gzip.compress(content), gzip.compress(start + content)):
        with suppress(InputError):
            repack_archive(packed, "fit")


def test_caches_of_python_are_left_out_and_an_execute_bit_is_kept() -> None:
    packed = pack(
        [
            entry(".", b"", type=tarfile.DIRTYPE),
            entry("./run.sh", mode=0o744),
            entry("./__pycache__/train.cpython-311.pyc"),
            entry("./deep", b"", type=tarfile.DIRTYPE),
        ]
    )
    with tarfile.open(fileobj=io.BytesIO(repack_archive(packed, "fit")), mode="r:gz") as archive:
        assert [(info.name, info.mode) for info in archive] == [("deep", 0o755), ("run.sh", 0o755)]
        assert {(info.mtime, info.uid, info.gid, info.uname) for info in archive} == {(0, 0, 0, "")}


def with_header(place: slice, value: bytes) -> bytes:
    """Change a field of a one-file archive's header, and make its checksum right again."""
    block = bytearray(gzip.decompress(pack([entry("train.py")])))
    block[place] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return gzip.compress(bytes(block))


def link(kind: bytes) -> bytes:
    return pack([entry("train.py", b"", type=kind, linkname="/etc/passwd")])


SLIPS: dict[str, bytes] = {
    "absolute": pack([entry("/etc/cron.d/job")]),
    "parent": pack([entry("../../train.py")]),
    "parent in the middle": pack([entry("a/../../train.py")]),
    "backslash": pack([entry("..\\train.py")]),
    "control characters": pack([entry("train\x1b[2J.py")]),
    "symbolic link": link(tarfile.SYMTYPE),
    "hard link": link(tarfile.LNKTYPE),
    "character device": link(tarfile.CHRTYPE),
    "block device": link(tarfile.BLKTYPE),
    "pipe": link(tarfile.FIFOTYPE),
    "contiguous file": link(tarfile.CONTTYPE),
    "sparse file": with_header(slice(156, 157), b"S"),
    "unknown kind": with_header(slice(156, 157), b"Z"),
    "twice": pack([entry("train.py"), entry("./train.py", b"y")]),
    "through a file": pack([entry("a"), entry("a/b")]),
    "negative size": with_header(slice(124, 136), b"\xff" * 12),
    "size beyond the end": with_header(slice(124, 136), b"77777777777\0"),
    "pax size": pack([entry("train.py", pax_headers={"size": "-1024"})]),
    "pax sparse": pack([entry("train.py", pax_headers={"GNU.sparse.size": "99999999999"})]),
    "pax link": pack([entry("train.py", pax_headers={"linkpath": "/etc/passwd"})]),
    "pax name": pack([entry("train.py", pax_headers={"path": "/etc/passwd"})]),
    "not utf-8": with_header(slice(0, 4), b"\xff\xfe\xfd\xfc"),
    "cut off": gzip.compress(gzip.decompress(pack([entry("train.py", b"x" * 900)]))[:1024]),
    "no end": gzip.compress(gzip.decompress(pack([entry("train.py")]))[:1024]),
    "more behind the end": gzip.compress(gzip.decompress(pack([entry("train.py")])) + b"more"),
    "two streams": pack([entry("train.py")]) * 2,
    "half a stream": pack([entry("train.py")])[:-9],
    "wrong checksum": gzip.compress(
        gzip.decompress(pack([entry("train.py")])).replace(b"train.py", b"brain.py")
    ),
    "too many": pack([entry(f"{i}.py", b"") for i in range(MAX_MEMBERS + 1)]),
    "a name without end": pack([entry("a/" * 300 + "b")]),
    "not compressed": b"train.py",
    "empty": b"",
}


@pytest.mark.parametrize("packed", SLIPS.values(), ids=SLIPS)
def test_an_unsafe_archive_is_refused(packed: bytes) -> None:
    with pytest.raises(InputError, match="the embedded archive") as error:
        repack_archive(packed, "step 'fit'")
    assert str(error.value).isprintable()


_BOMB = f"""
import gzip, io, resource, sys, zlib
from gitops.embedding import repack_archive
from gitops.errors import InputError
stream = zlib.compressobj(9, zlib.DEFLATED, 31)
zeros = bytes(1 << 20)
bomb = b"".join(stream.compress(zeros) for _ in range(400)) + stream.flush()
assert len(bomb) * 1000 < 400 << 20, len(bomb)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    repack_archive(bomb, "fit")
except InputError as error:
    assert "more than {MAX_BYTES:,} bytes" in error.what, error.what
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """400 MiB in 0.4: the reader stops after 16 MiB, in a process that could not hold more."""
    done = subprocess.run(
        [sys.executable, "-c", _BOMB],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20)),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80


def source_with(packed: bytes) -> str:
    text = base64.b64encode(packed).decode()
    return f"import kfp\n__KFP_EMBEDDED_ARCHIVE_B64 = '{text}'\n\ndef fit(): ...\n"


def test_only_the_archive_in_a_source_changes() -> None:
    early, late = (
        pack([entry("train.py", b"same", mtime=moment)]) for moment in (1, 2_000_000_000)
    )
    assert source_with(early) != source_with(late)
    assert repack_source(source_with(early), "fit") == repack_source(source_with(late), "fit")
    assert repack_source("def fit(): ...", "fit") == "def fit(): ..."


@pytest.mark.parametrize("text", ["not base64", "QUJD", '" + evil'])
def test_an_archive_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        repack_source(f"__KFP_EMBEDDED_ARCHIVE_B64 = '{text}'\n", "fit")
    twice = source_with(pack([entry("train.py")])) * 2
    with pytest.raises(InputError, match="not in the form"):
        repack_source(twice, "fit")
    with pytest.raises(InputError, match="not in the form"):
        repack_source("__KFP_EMBEDDED_ARCHIVE_B64 = b'QUJD'\n", "fit")


# Pipelines.


def executor(name: str, image: str = PLACEHOLDER, **more: Any) -> dict[str, Any]:
    return {
        "container": {
            "image": image,
            "command": ["python", name],
            "args": ["--function_to_execute", name],
            **more,
        }
    }


def task(component: str, request: Any = "request", **more: Any) -> dict[str, Any]:
    source = {"componentInputParameter": request} if isinstance(request, str) else request
    return {
        "componentRef": {"name": f"comp-{component}"},
        "cachingOptions": {"enableCache": True},
        "inputs": {"parameters": {"request": source} if source else {}},
        **more,
    }


def make_spec(*steps: str) -> dict[str, Any]:
    """Make the smallest spec of the kind that KFP compiles: the given steps, one after the other."""
    return {
        "pipelineInfo": {"name": "experimental"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.16.1",
        "components": {f"comp-{step}": {"executorLabel": f"exec-{step}"} for step in steps},
        "deploymentSpec": {"executors": {f"exec-{step}": executor(step) for step in steps}},
        "root": {"dag": {"tasks": {step: task(step) for step in steps}}},
    }


def kubeflow(**steps: StepPlacement) -> Kubeflow:
    return Kubeflow(
        host="https://kubeflow.example.org",
        namespace="experiments",
        production_namespace="production",
        image=IMAGE,
        steps=tuple(steps.items()),
    )


def place(
    spec: Any, attached: dict[str, Any] | None = None, *, production: bool = False, **steps: Any
) -> PlacedPipeline:
    documents = [spec]
    if attached is not None:
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": attached}}}})
    content = spec if isinstance(spec, bytes) else yaml.safe_dump_all(documents).encode()
    placed = place_pipeline(
        content,
        kubeflow(**steps),
        default_image=PLACEHOLDER,
        own_steps=OWN,
        production=production,
    )
    # What was written is as plain as what is accepted: no aliases, no tags.
    assert parse_compiled(placed.content).spec == placed.spec
    return placed


def container(placed: PlacedPipeline, step: str) -> dict[str, Any]:
    found: dict[str, Any] = placed.spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    return found


def test_what_is_written_is_what_is_told() -> None:
    spec = make_spec("prepare", "fit")
    placed = place(spec, {"exec-fit": {"imagePullPolicy": "Always"}})
    assert list(yaml.safe_load_all(placed.content)) == [placed.spec, placed.platform]
    assert placed.digest.startswith("sha256:")
    shuffled = {key: spec[key] for key in reversed(spec)}
    assert place(shuffled, {"exec-fit": {"imagePullPolicy": "Always"}}).content == placed.content


def test_each_step_runs_in_the_one_image_or_in_a_pinned_one() -> None:
    spec = make_spec("prepare", "fit", "other")
    spec["deploymentSpec"]["executors"]["exec-other"] = executor("other", OTHER)
    placed = place(spec)
    assert [container(placed, step)["image"] for step in ("prepare", "fit", "other")] == [
        *(IMAGE, IMAGE, OTHER)
    ]


@pytest.mark.parametrize(
    "image", ["python:3.11", "", None, "x@sha256:abc", f"evil\n{OTHER}", f"{OTHER}\n", "{{$.x}}"]
)
def test_an_image_that_can_change_is_refused(image: Any) -> None:
    spec = make_spec("fit")
    spec["deploymentSpec"]["executors"]["exec-fit"] = executor("fit", image)
    with pytest.raises(InputError, match=r"'fit' runs in the image .* not pinned") as error:
        place(spec)
    assert "name@sha256:" in error.value.hint


def test_the_toolkits_steps_are_never_cached_by_kubeflow_and_a_teams_are_as_it_says() -> None:
    placed = place(make_spec("prepare", "fit"))
    tasks = placed.spec["root"]["dag"]["tasks"]
    assert tasks["prepare"]["cachingOptions"] == {}
    assert tasks["fit"]["cachingOptions"] == {"enableCache": True}


def test_a_placement_meets_every_use_of_its_component() -> None:
    spec = make_spec("my-fit", "other")
    spec["components"]["comp-my-fit-2"] = {"executorLabel": "exec-my-fit-2"}
    spec["deploymentSpec"]["executors"]["exec-my-fit"] = executor("my_fit")
    spec["deploymentSpec"]["executors"]["exec-my-fit-2"] = executor("my_fit")
    spec["root"]["dag"]["tasks"]["again"] = task("my-fit-2")
    placed = place(spec, my_fit=StepPlacement(cpu="500m", memory="1Gi", retries=2), absent=GPU)
    for step in ("my-fit", "my-fit-2"):
        assert container(placed, step)["resources"]["resourceCpuLimit"] == "500m"
        assert container(placed, step)["resources"]["cpuRequest"] == 0.5
    tasks = placed.spec["root"]["dag"]["tasks"]
    retried = {name for name, body in tasks.items() if "retryPolicy" in body}
    assert retried == {"my-fit", "again"}
    assert "resources" not in container(placed, "other")


GPU = StepPlacement(accelerator="nvidia.com/gpu")


@pytest.mark.parametrize(
    "placement",
    [StepPlacement(cpu="2Gi"), StepPlacement(cpu="two")]
    + [StepPlacement(memory=amount) for amount in ("500m", "5K", "5 Gi", "-1Gi")],
)
def test_an_amount_that_makes_no_sense_is_named(placement: StepPlacement) -> None:
    kind = "cpu" if placement.cpu else "memory"
    with pytest.raises(InputError, match=rf"run.steps.fit.{kind}: .* no amount"):
        place(make_spec("fit"), fit=placement)


# Who may be who.


def imposter(spec: dict[str, Any], **change: Any) -> None:
    spec["deploymentSpec"]["executors"]["exec-prepare"]["container"].update(change)


IMPOSTERS: dict[str, dict[str, Any]] = {
    "other code": {"command": ["sh", "-c", "env"]},
    "more arguments": {"args": ["--function_to_execute", "prepare", "--evil"]},
    "other image": {"image": OTHER},
    "an environment": {"env": [{"name": "PYTHONPATH", "value": "/tmp"}]},
}


@pytest.mark.parametrize("change", IMPOSTERS.values(), ids=IMPOSTERS)
def test_a_name_alone_makes_no_step_of_the_toolkit(change: dict[str, Any]) -> None:
    spec = make_spec("prepare", "fit")
    imposter(spec, **change)
    with pytest.raises(InputError, match="'prepare' is not the toolkit's"):
        place(spec)


@pytest.mark.parametrize("name", ["Release", "release", "_release", "RELEASE-"])
def test_no_spelling_of_a_name_gets_its_secrets(name: str) -> None:
    spec = make_spec("fit")
    spec["deploymentSpec"]["executors"]["exec-fit"] = executor(name, command=["sh", "-c", "env"])
    granted = StepPlacement(secrets=(RELEASE_SECRET,))
    with pytest.raises(InputError, match="'release' is not the toolkit's"):
        place(spec, production=True, release=granted)


def test_a_step_without_a_function_is_known_by_its_component() -> None:
    spec = make_spec("release", "release-2")
    for label in ("exec-release", "exec-release-2"):
        spec["deploymentSpec"]["executors"][label] = executor("x", OTHER, args=["env"])
    with pytest.raises(InputError, match="'release' is not the toolkit's"):
        place(spec, production=True, release=StepPlacement(secrets=(RELEASE_SECRET,)))


@pytest.mark.parametrize("step", ["judge", "release", "rollout"])
def test_an_experiment_cannot_ship(step: str) -> None:
    spec = make_spec("prepare", step)
    with pytest.raises(InputError, match=f"an experiment has the step '{step}'"):
        place(spec)
    assert place(spec, production=True).spec["components"].keys() == spec["components"].keys()


def nested(spec: dict[str, Any], source: Any, **more: Any) -> dict[str, Any]:
    """Put the root's tasks one graph deeper; `source` is what that graph is given as its request."""
    inner = deepcopy(spec)
    inner["components"]["comp-inner"] = {"dag": inner["root"]["dag"]}
    inner["root"] = {"dag": {"tasks": {"inner": task("inner", source, **more)}}}
    return inner


FORGED: dict[str, Any] = {
    "a constant": {"runtimeValue": {"constant": {"origin": "https://evil.example"}}},
    "another step's output": {"taskOutputParameter": {"producerTask": "fit"}},
    "another input": "params",
    "a part of it": {"componentInputParameter": "request", "parameterExpressionSelector": "x"},
    "nothing": None,
    "a list": {"componentInputParameter": ["request"]},
}


@pytest.mark.parametrize("source", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("deep", [False, True])
def test_a_step_with_credentials_takes_the_runs_own_request_only(source: Any, deep: bool) -> None:
    spec = make_spec("prepare", "fit")
    if deep:
        spec = nested(spec, source)
    else:
        spec["root"]["dag"]["tasks"]["prepare"] = task("prepare", source)
    with pytest.raises(InputError, match="'prepare' takes a request that is not the run's own"):
        place(spec)


def test_a_request_that_is_handed_on_is_the_runs_own() -> None:
    place(nested(nested_once := nested(make_spec("prepare"), "request"), "request"))
    place(nested_once)


@pytest.mark.parametrize("source", [{"runtimeValue": {"constant": {}}}, None])
def test_one_forged_use_of_a_nested_pipeline_spoils_it(source: Any) -> None:
    """Left out, it would be the default that the code wrote."""
    spec = nested(make_spec("prepare"), "request")
    spec["root"]["dag"]["tasks"]["again"] = task("inner", source)
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)


def test_a_loop_cannot_stand_in_for_the_request() -> None:
    loop = {"itemInput": "request", "items": {"raw": '[{"origin": "https://evil.example"}]'}}
    with pytest.raises(InputError, match="not the run's own"):
        place(nested(make_spec("prepare"), "request", parameterIterator=loop))


def test_graphs_that_contain_each_other_end() -> None:
    spec = make_spec("prepare")
    for one, other in (("a", "b"), ("b", "a")):
        tasks = {other: task(other), "prepare": task("prepare")}
        spec["components"][f"comp-{one}"] = {"dag": {"tasks": tasks}}
    spec["root"]["dag"]["tasks"]["a"] = task("a", {"runtimeValue": {"constant": {}}})
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)


@pytest.mark.parametrize("source", ["request", "params"])
def test_a_request_is_followed_through_a_thousand_graphs(source: str) -> None:
    spec = make_spec("prepare")
    for depth in range(1000):
        inner = {"inner": task(f"{depth + 1}")} if depth < 999 else {"prepare": task("prepare")}
        spec["components"][f"comp-{depth}"] = {"dag": {"tasks": inner}}
    spec["root"]["dag"]["tasks"] = {"outer": task("0", source)}
    if source == "request":
        place(spec)
        return
    with pytest.raises(InputError, match="not the run's own"):
        place(spec)


def test_many_large_archives_are_refused() -> None:
    steps = [f"s{i}" for i in range(30)]
    spec = make_spec(*steps)
    for i, step in enumerate(steps):
        source = source_with(pack([entry(f"{i}.py")]))
        spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]["command"] = [source]
    with pytest.raises(InputError, match="more than 20 steps embed files"):
        place(spec)


# What is not understood.


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    spec = make_spec("fit")
    change(spec)
    return spec


def fit_of(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["deploymentSpec"]["executors"]["exec-fit"]
    return found


ODD: dict[str, Any] = {
    "platform in a component": changed(
        lambda s: s["components"]["comp-fit"].update(singlePlatformSpecs=[{}])
    ),
    "other spelling": changed(
        lambda s: s["components"]["comp-fit"].update(single_platform_specs=[{}])
    ),
    "second deployment": changed(lambda s: s.update(deployment_spec={"executors": {}})),
    "own artifact root": changed(lambda s: s.update(defaultPipelineRoot="s3://evil")),
    "importer": changed(
        lambda s: fit_of(s).update(importer={"artifactUri": {"constant": "s3://x"}})
    ),
    "custom job": changed(lambda s: fit_of(s).update(customJob={})),
    "lifecycle": changed(lambda s: fit_of(s)["container"].update(lifecycle={})),
    "environment from elsewhere": changed(
        lambda s: fit_of(s)["container"].update(env=[{"name": "A", "valueFrom": {}}])
    ),
    "environment no list": changed(lambda s: fit_of(s)["container"].update(env=5)),
    "args no words": changed(lambda s: fit_of(s)["container"].update(args=[1])),
    "resources": changed(lambda s: fit_of(s)["container"].update(resources={"hostPath": "/"})),
    "cache key": changed(
        lambda s: s["root"]["dag"]["tasks"]["fit"]["cachingOptions"].update(cacheKey="main")
    ),
    "unknown component": changed(lambda s: s["root"]["dag"]["tasks"].update(x=task("absent"))),
    "odd component": changed(lambda s: s["components"].update(x={"executorLabel": ["exec-fit"]})),
    "nothing to execute": changed(lambda s: s["components"].update(x={"executorLabel": "exec-x"})),
    "a graph in place of the root": changed(
        lambda s: s["components"].update({"": {"dag": {"tasks": {}}}})
    ),
    "no graph": changed(lambda s: s.update(root={"executorLabel": "exec-fit"})),
    "empty": b"",
    "text": b"hello",
    "list": b"[]",
    "alias": b"a: &a [x]\nb: *a\n",
    "tag": b"!!python/object:os.system {}\n",
    "date": yaml.safe_dump(make_spec("fit"))
    .replace("2.1.0", "2024-01-01")
    .replace("'", "")
    .encode(),
    "deep": b"[" * 5000 + b"]" * 5000,
    "huge": b" " * (4 << 20) + b" ",
    "three documents": yaml.safe_dump_all([make_spec("fit"), {}, {}]).encode(),
    "not UTF-8": b"\xff",
    "twice": yaml.safe_dump(make_spec("fit")).encode() + b"root: {}\n",
}


@pytest.mark.parametrize("spec", ODD.values(), ids=ODD)
def test_what_is_not_understood_is_refused(spec: Any) -> None:
    with pytest.raises(InputError):
        place(spec)


ODD_PLATFORMS: dict[str, dict[str, Any]] = {
    "another platform": {"platforms": {"other": {}}},
    "a workspace": {
        "platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}
    },
    "a time without end": {
        "platforms": {"kubernetes": {"pipelineConfig": {"resourceTtlOnSuccess": -1}}}
    },
    "other spelling": {"platforms": {"kubernetes": {"pipeline_config": {}}}},
    "config": {"platforms": {"kubernetes": {"config": {}}}},
    "no such step": {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-absent": {}}}}}
    },
}


@pytest.mark.parametrize("platform", ODD_PLATFORMS.values(), ids=ODD_PLATFORMS)
def test_a_platform_that_is_not_understood_is_refused(platform: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        place(yaml.safe_dump_all([make_spec("fit"), platform]).encode())


ODD_ATTACHMENTS: dict[str, Any] = {
    "no mapping": [],
    "pull policy": {"imagePullPolicy": "Sometimes"},
    "deadline": {"activeDeadlineSeconds": "-1"},
    "node": {"nodeSelector": {"labels": {"pool": {"a": "b"}}}},
    "toleration": {"tolerations": [{"key": ["gpu"]}]},
    "toleration no list": {"tolerations": {"key": "gpu"}},
    "toleration by an input": {"tolerations": [{"tolerationJson": {}}]},
    "secret no list": {"secretAsEnv": {"secretName": "release"}},
    "other spelling": {"secret_as_env": []},
}


@pytest.mark.parametrize("attached", ODD_ATTACHMENTS.values(), ids=ODD_ATTACHMENTS)
def test_an_attachment_that_is_not_understood_names_its_step(attached: Any) -> None:
    with pytest.raises(InputError, match="'fit'"):
        place(make_spec("fit"), {"exec-fit": attached})


def test_times_of_the_whole_pipeline_are_kept() -> None:
    times = {"resourceTtlOnCompletion": 60}
    platform = {"platforms": {"kubernetes": {"pipelineConfig": times}}}
    placed = place(yaml.safe_dump_all([make_spec("fit"), platform]).encode())
    assert placed.platform is not None
    assert placed.platform["platforms"]["kubernetes"]["pipelineConfig"] == times


def test_two_placements_for_one_step_are_refused() -> None:
    with pytest.raises(InputError, match="two placements are named like 'my-fit'"):
        place(make_spec("my-fit"), my_fit=GPU, My_fit=GPU)


def test_a_cache_key_of_ones_own_is_explained() -> None:
    with pytest.raises(InputError, match="could bring back another's result"):
        place(ODD["cache key"])


def test_the_unchanged_pipeline_of_these_tests_is_accepted() -> None:
    limited = {"executors": {"exec-fit": {"activeDeadlineSeconds": "21600"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": limited}}}
    assert place(make_spec("fit")).platform == platform
    assert place(make_spec("fit"), {}).platform == platform
