"""Files that a step embeds are packed again the same way everywhere, or refused (T13)."""

from __future__ import annotations

import base64
import gzip
import io
import resource
import subprocess
import sys
import tarfile
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.embedding import (
    MAX_BYTES,
    MAX_MEMBERS,
    Member,
    pack_members,
    repack_archive,
    repack_source,
)
from gitops.errors import InputError
from tests.placement_kit import make_spec, place

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


def test_many_large_archives_are_refused() -> None:
    steps = [f"s{i}" for i in range(30)]
    spec = make_spec(*steps)
    for i, step in enumerate(steps):
        source = source_with(pack([entry(f"{i}.py")]))
        spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]["command"] = [source]
    with pytest.raises(InputError, match="more than 20 steps embed files"):
        place(spec)
