"""The source of a compiled step comes in; the same source, its embedded archive packed one fixed way, goes out.

KFP packs a step's files with the owners and times of the machine that compiles, so equal files give
unequal bytes. The archive may be hostile: it is never written to a disk, and it is read by a reader
that goes forward only and knows files and folders, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gitops.errors import InputError

MAX_BYTES = 16 << 20  # of one archive, unpacked; KFP itself warns at one megabyte, packed
MAX_MEMBERS = 2000
MAX_NAME = 500
_BLOCK = 512
_NAME = "__KFP_EMBEDDED_ARCHIVE_B64"
_ARCHIVE = re.compile(rf"^{_NAME} = '([A-Za-z0-9+/=]*)'$", re.MULTILINE)
_ASSIGNED = re.compile(rf"^{_NAME}\s*=", re.MULTILINE)
# What Python's own packer notes of a file beside its name; none of it is kept.
_NOTED = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}
_HINT = "embed plain files and folders of moderate size; put large data under DVC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of an archive, or a folder (`content` is None)."""

    content: bytes | None
    executable: bool = False


def repack_source(source: str, where: str) -> str:
    """Return a step's source with each embedded archive in its canonical form.

    Raises InputError for an archive with links, devices, unsafe or repeated names, too many members
    or bytes, or damage.
    """
    assigned = len(_ASSIGNED.findall(source))
    if assigned > 1 or assigned != len(_ARCHIVE.findall(source)):
        raise InputError(f"{_NAME} is not in the form that KFP writes", where=where)
    return _ARCHIVE.sub(lambda found: f"{_NAME} = '{_repack_text(found[1], where)}'", source)


def _repack_text(text: str, where: str) -> str:
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InputError("the embedded archive is not base64", where=where) from error
    return base64.b64encode(repack_archive(packed, where)).decode("ascii")


def repack_archive(packed: bytes, where: str) -> bytes:
    """Return a `.tar.gz` with the same names and bytes, sorted, without times and owners.

    A file keeps its owner's execute bit; what Python caches (`__pycache__`) is left out.
    """
    return pack_members(read_members(_decompress(packed, where), where))


def _decompress(packed: bytes, where: str) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(packed, MAX_BYTES + 1)
    except zlib.error as error:
        raise _refuse("is damaged", where) from error
    if len(content) > MAX_BYTES:
        raise _refuse(f"has more than {MAX_BYTES:,} bytes", where)
    if not stream.eof or stream.unused_data:
        raise _refuse("is damaged", where)
    return content


def pack_members(members: dict[str, Member]) -> bytes:
    """Pack files and folders by name so that equal ones give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, member in sorted(members.items()):
            archive.addfile(_make_header(name, member), io.BytesIO(member.content or b""))
    return _compress(buffer.getvalue())


def _make_header(name: str, member: Member) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mode = 0o755 if member.executable or member.content is None else 0o644
    header.type = tarfile.DIRTYPE if member.content is None else tarfile.REGTYPE
    header.size = len(member.content or b"")
    return header


def _compress(content: bytes) -> bytes:
    """Compress as gzip with a fixed header: no time, no name, system unknown."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = stream.compress(content) + stream.flush()
    return (
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
        + body
        + struct.pack("<LL", zlib.crc32(content), len(content) & 0xFFFFFFFF)
    )


def read_members(content: bytes, where: str) -> dict[str, Member]:
    """Read the files and folders of a tar archive by their plain names; InputError for anything else."""
    members: dict[str, Member] = {}
    for name, member in _read_entries(content, where):
        plain = _plain_name(name, where)
        if not plain or "__pycache__" in plain.split("/"):
            continue
        if plain in members:
            raise _refuse(f"has {plain[:80]!r} twice", where)
        members[plain] = member
    _refuse_files_as_folders(members, where)
    return members


class _Header(NamedTuple):
    """What is read of a block that describes the blocks after it."""

    name: str
    kind: bytes
    size: int
    executable: bool


def _read_entries(content: bytes, where: str) -> Iterator[tuple[str, Member]]:
    """Go through an archive once, from its first block to the two empty ones that end it."""
    offset, count, long_name = 0, 0, ""
    while (block := content[offset : offset + _BLOCK]).strip(b"\0"):
        count += 1
        if count > 2 * MAX_MEMBERS:
            raise _refuse(f"has more than {MAX_MEMBERS} members", where)
        header = _parse_header(block, where)
        body = content[offset + _BLOCK : offset + _BLOCK + header.size]
        offset += _BLOCK + -(-header.size // _BLOCK) * _BLOCK
        if offset > len(content):
            raise _refuse("is cut off", where)
        if header.kind == b"x":
            long_name = _parse_notes(body, where)
        else:
            yield long_name or header.name, _make_member(header, body, where)
            long_name = ""
    if long_name or len(block) < _BLOCK or content[offset:].strip(b"\0"):
        raise _refuse("is damaged", where)


def _parse_header(block: bytes, where: str) -> _Header:
    if len(block) < _BLOCK or block[257:262] != b"ustar":
        raise _refuse("is damaged", where)
    if _octal(block[148:156], where) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise _refuse("is damaged", where)
    name = _text(block[:100].split(b"\0")[0], where)
    prefix = _text(block[345:500].split(b"\0")[0], where)
    return _Header(
        name=f"{prefix}/{name}" if prefix else name,
        kind=block[156:157],
        size=_octal(block[124:136], where),
        executable=bool(_octal(block[100:108], where) & 0o100),
    )


def _make_member(header: _Header, body: bytes, where: str) -> Member:
    if header.kind in (b"0", b"\0"):
        return Member(content=body, executable=header.executable)
    if header.kind != b"5" or header.size:
        raise _refuse(f"has {header.name[:80]!r}, neither a file nor a folder", where)
    return Member(content=None)


def _parse_notes(body: bytes, where: str) -> str:
    """Return the name in a pax header, `<length> <key>=<value>` lines; empty when it has none."""
    name, start = "", 0
    while start < len(body):
        digits = body[start : start + 6].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, mark, value = body[start + len(digits) + 1 : max(end - 1, 0)].partition(b"=")
        if not mark or body[end - 1 : end] != b"\n":
            raise _refuse("is damaged", where)
        if key == b"path":
            name = _text(value, where)
        elif _text(key, where) not in _NOTED:
            raise _refuse(f"says {_text(key, where)[:40]!r} of a member", where)
        start = end
    return name


def _octal(field: bytes, where: str) -> int:
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise _refuse("is damaged", where)
    return int(digits or b"0", 8)


def _text(value: bytes, where: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse("has a name that is not UTF-8", where) from error


def _plain_name(name: str, where: str) -> str:
    """Return a name without `.` parts; empty for the folder that was embedded itself."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        raise _refuse(f"has the unsafe name {name[:80]!r}", where)
    if len(name) > MAX_NAME:
        raise _refuse(f"has a name of more than {MAX_NAME} characters", where)
    return "/".join(parts)


def _refuse_files_as_folders(members: dict[str, Member], where: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise _refuse(f"has more than {MAX_MEMBERS} members", where)
    for name in members:
        parts = name.split("/")
        for end in range(1, len(parts)):
            parent = members.get("/".join(parts[:end]))
            if parent is not None and parent.content is not None:
                raise _refuse(f"has {name[:80]!r} below a file", where)


def _refuse(what: str, where: str) -> InputError:
    return InputError(f"the embedded archive {what}", where=where, hint=_HINT)
