"""Text from data, whatever it holds, comes in; text that is only ever text goes out.

A column name, a model's error message or a branch name is written by whoever opened the merge
request. In a note it must not become a link, an image, HTML, a mention, or a command that the
bot's account would carry out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 300
_CUT = "…"
_LOOK = 8
_MINUS, _BACKSLASH, _SLASH = "\N{MINUS SIGN}", "\N{REVERSE SOLIDUS OPERATOR}", "\N{DIVISION SLASH}"
# What no Markdown dialect reads as anything but text: words, numbers, percentages, lone signs.
_WORD = re.compile(
    rf"""[^\W\d_]+(?:['-][^\W\d_]+)*\d{{0,2}}
    | [-+{_MINUS}]?\d{{1,6}}(?:[.,]\d{{1,9}})*%?
    | [-=≤≥<%]""",
    re.VERBOSE,
)
_TOKEN = re.compile(r"(?P<open>\(?)(?P<core>.*?)(?P<close>[.,;:)?]*)", re.DOTALL)
# A forge makes a link to a commit of the first, a browser one to a site of the second.
_LINKED = re.compile(r"[a-f\d]{7,}|www\d*", re.IGNORECASE)
_COMMAND = re.compile(r"^\s*/(?=[A-Za-z_])", re.MULTILINE)


def clean(text: str, *, limit: int = LIMIT) -> str:
    """Return one line of at most `limit` characters, without any that hide or reorder text."""
    # What is cut anyway need not be looked at: a name may be as long as a file.
    seen = text[: _LOOK * limit]
    line = " ".join(strip_controls(seen).split())
    if len(line) <= limit and len(seen) == len(text):
        return line
    return line[: limit - 1].rstrip() + _CUT


def strip_controls(text: str) -> str:
    """Drop characters that are not shown; line ends stay, and tabs become spaces."""
    spaced = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(char for char in spaced if char == "\n" or _is_visible(char))


def _is_visible(char: str) -> bool:
    return not unicodedata.category(char).startswith("C")


def render_code(text: str, *, limit: int = LIMIT) -> str:
    """Return data as a Markdown code span, fenced longer than any run of back-ticks in it."""
    line = clean(text, limit=limit)
    if not line:
        return "` `"
    fence = "`" * (1 + longest_run(line))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def render_prose(text: str, *, limit: int = 2 * LIMIT) -> str:
    """Return a sentence that quotes data: plain words stay, everything else becomes a code span."""
    return " ".join(_render_token(token) for token in clean(text, limit=limit).split(" ") if token)


def _render_token(token: str) -> str:
    match = _TOKEN.fullmatch(token)
    before, core, after = match.group("open", "core", "close") if match else ("", token, "")
    if not core or _is_plain(core):
        return token
    quoted = core.startswith("`") and core.endswith("`") and len(core) > 2
    return before + render_code(core[1:-1] if quoted else core) + after


def _is_plain(word: str) -> bool:
    return bool(_WORD.fullmatch(word)) and not _LINKED.fullmatch(word)


def render_row(cells: Iterable[str]) -> str:
    r"""Return one row of a Markdown table.

    Parsers disagree on what ``\\|`` means, so a backslash before a bar becomes its look-alike.
    """
    safe = (re.sub(r"\\+(?=\|)", _BACKSLASH, cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(safe)} |"


def render_fence(text: str, language: str) -> str:
    """Return data as a fenced block; a line in it that looks like a command gets another slash."""
    body = _COMMAND.sub(_SLASH, strip_controls(text)).strip("\n")
    fence = "`" * max(3, 1 + longest_run(body))
    return f"{fence}{language}\n{body}\n{fence}"


def longest_run(text: str) -> int:
    """Return the length of the longest run of back-ticks."""
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def has_command(note: str) -> bool:
    """Tell whether any line of a note would be carried out as a quick action."""
    return _COMMAND.search(note) is not None
