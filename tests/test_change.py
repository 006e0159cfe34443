"""What changed, what for, and for which models."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.change import (
    ChangeSet,
    FileChange,
    Kind,
    RawChange,
    Status,
    make_change_set,
    parse_raw_diff,
)
from gitops.config import Config, make_config
from gitops.errors import InputError

ZERO = "0" * 40
ONE = "1" * 40


def make_model(name: str, **changes: object) -> dict[str, object]:
    return {
        "data": f"data/{name}.csv",
        "target": "y",
        "pipeline": f"pipelines/{name}/pipeline.py:train",
        "params": f"pipelines/{name}/params.yaml",
        "gate": {"metrics": {"rmse": {"max": 1}}},
        **changes,
    }


def configure(*names: str, **models: dict[str, object]) -> Config:
    named = {name: make_model(name) for name in names}
    return make_config({"version": 1, "lock": "requirements.lock", "models": named | models})


FUEL_AND_WINE = configure("fuel", "wine")


def change(path: str, status: Status = Status.MODIFIED, old_path: str | None = None) -> RawChange:
    return RawChange(
        status=status,
        path=path,
        old_path=old_path,
        old_mode="100644",
        new_mode="100644",
        old_id=ZERO,
        new_id=ONE,
    )


def classify(
    *changes: RawChange,
    config: Config = FUEL_AND_WINE,
    targets: dict[str, tuple[str, ...]] | None = None,
) -> ChangeSet:
    return make_change_set(
        changes,
        base=ZERO,
        head=ONE,
        everything=False,
        reason="a test",
        config=config,
        targets=targets,
    )


def classify_one(raw: RawChange, config: Config = FUEL_AND_WINE) -> FileChange:
    return classify(raw, config=config).files[0]


@pytest.mark.parametrize(
    ("path", "kind", "models"),
    [
        ("data/fuel.csv.dvc", Kind.DATA, ("fuel",)),
        ("data/fuel.csv", Kind.DATA, ("fuel",)),
        ("data.dvc", Kind.DATA, ("fuel", "wine")),
        ("data/dvc.lock", Kind.DATA, ("fuel", "wine")),
        ("dvc.lock", Kind.DATA, ("fuel", "wine")),
        ("elsewhere/dvc.lock", Kind.DATA, ()),
        ("data/unused.csv.dvc", Kind.DATA, ()),
        ("data/fuel.csv.old.dvc", Kind.DATA, ()),
        ("pipelines/fuel/params.yaml", Kind.PARAMS, ("fuel",)),
        ("pipelines/fuel/pipeline.py", Kind.CODE, ("fuel",)),
        ("pipelines/fuel/deep/er/features.py", Kind.CODE, ("fuel",)),
        ("pipelines/fuel2/pipeline.py", Kind.OTHER, ()),
        ("requirements.lock", Kind.CODE, ("fuel", "wine")),
        ("gitops.yaml", Kind.POLICY, ("fuel", "wine")),
        ("sub/gitops.yaml", Kind.OTHER, ()),
        (".dvc/config", Kind.CONTROL, ()),
        (".gitlab-ci.yml", Kind.CONTROL, ()),
        ("ci/gate.yml", Kind.CONTROL, ()),
        ("data/dvc.yaml", Kind.CONTROL, ()),
        ("data/models/fuel.dvc", Kind.OUTPUT, ("fuel",)),
        ("data/models/fuel.release.json", Kind.OUTPUT, ("fuel",)),
        ("README.md", Kind.OTHER, ()),
    ],
)
def test_a_file_is_known_by_its_place(path: str, kind: Kind, models: tuple[str, ...]) -> None:
    found = classify_one(change(path))
    assert (found.kind, found.models) == (kind, models)


def test_a_model_used_as_the_data_of_another_is_its_data() -> None:
    config = configure("fuel", trucks=make_model("trucks", data="data/models/fuel"))
    found = classify_one(change("data/models/fuel.dvc"), config)
    assert (found.kind, found.models) == (Kind.DATA, ("trucks",))


def test_code_shared_by_models_touches_them_all() -> None:
    shared = make_model("trucks", sources=["pipelines/fuel", "lib"])
    config = configure("fuel", "wine", trucks=shared)
    assert classify_one(change("pipelines/fuel/a.py"), config).models == ("fuel", "trucks")
    assert classify_one(change("pipelines/trucks/pipeline.py"), config).models == ("trucks",)


def test_code_moved_out_of_a_models_sources_still_touches_it() -> None:
    found = classify_one(change("attic/a.py", Status.RENAMED, "pipelines/fuel/a.py"))
    assert (found.kind, found.models, found.old_path) == (
        Kind.CODE,
        ("fuel",),
        "pipelines/fuel/a.py",
    )


def test_a_control_file_renamed_to_look_harmless_is_still_one() -> None:
    found = classify_one(change("README.md", Status.RENAMED, ".gitlab-ci.yml"))
    assert found.kind is Kind.CONTROL


def test_what_a_lock_really_tracks_narrows_the_models() -> None:
    changes = classify(change("dvc.lock"), targets={"dvc.lock": ("data/wine.csv",)})
    assert changes.files[0].models == ("wine",)


@pytest.mark.parametrize("target", ["data", "data/fuel.csv", "data/fuel.csv/part-1"])
def test_a_pointer_with_an_unusual_name_is_known_by_what_it_tracks(target: str) -> None:
    changes = classify(change("any.dvc"), targets={"any.dvc": (target,)})
    assert "fuel" in changes.files[0].models


def test_ten_thousand_changes_and_three_hundred_models_are_sorted_out_at_once() -> None:
    config = configure(*(f"m{number}" for number in range(300)))
    changes = [change(f"data/m{number % 400}.csv.dvc") for number in range(10_000)]
    start = time.perf_counter()
    files = classify(*changes, config=config).files
    assert time.perf_counter() - start < 1.0
    assert sum(len(file.models) for file in files) == 7_500


RAW = (
    f":100644 100644 {ZERO} {ONE} M\0data/a\nb.csv.dvc\0"
    f":100644 100644 {ZERO} {ONE} R087\0old.py\0new.py\0"
    f":100644 120000 {ZERO} {ONE} T\0\udcff.dvc\0"
).encode("utf-8", "surrogateescape")


def test_names_from_git_are_kept_byte_for_byte() -> None:
    modified, renamed, linked = parse_raw_diff(RAW)
    assert modified.path == "data/a\nb.csv.dvc"
    assert (renamed.status, renamed.old_path, renamed.path) == (Status.RENAMED, "old.py", "new.py")
    assert (linked.status, linked.new_mode) == (Status.TYPE_CHANGED, "120000")
    assert linked.path.encode("utf-8", "surrogateescape") == b"\xff.dvc"


def test_no_output_is_no_change() -> None:
    assert parse_raw_diff(b"") == ()


def test_output_cut_short_is_refused_or_names_fewer_files() -> None:
    whole = parse_raw_diff(RAW)
    for length in range(len(RAW)):
        try:
            found = parse_raw_diff(RAW[:length])
        except InputError:
            continue
        assert found == whole[: len(found)]


@given(st.binary(max_size=200))
def test_whatever_git_prints_only_an_input_error_comes_out(output: bytes) -> None:
    with contextlib.suppress(InputError):
        parse_raw_diff(output)


NAME = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)
RECORD = st.tuples(st.sampled_from("AMDT"), NAME)


@given(st.lists(RECORD, max_size=8))
def test_any_name_that_git_allows_is_read_back(records: list[tuple[str, bytes]]) -> None:
    output = b"".join(
        f":100644 100644 {ZERO} {ONE} {letter}".encode() + b"\0" + name + b"\0"
        for letter, name in records
    )
    found = [change.path.encode("utf-8", "surrogateescape") for change in parse_raw_diff(output)]
    assert found == [name for _, name in records]
