"""What happens comes in; a story for the terminal goes out, and a log of each command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import textwrap
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PAINT = {"bold": "1", "dim": "2", "red": "1;31", "green": "1;32", "yellow": "1;33", "cyan": "36"}
_CONTROL = re.compile(r"section_(?:start|end):\S*|\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_VERDICTS = {
    "PASS": "green",
    "FAIL": "red",
    "REFUSED": "red",
    "INCONCLUSIVE": "yellow",
    "SKIPPED": "cyan",
}
_WHEEL = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that ended: exit code, everything it printed, seconds."""

    code: int
    lines: tuple[str, ...]
    seconds: float


class Voice:
    """Tells the story; colour and live progress only where a person watches a terminal."""

    def __init__(self, stream: IO[str], environ: Mapping[str, str], logs: Path) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._colour = self._live and not environ.get("NO_COLOR")
        self._width = min(shutil.get_terminal_size((96, 24)).columns, 100)
        self._logs = logs
        self._count = 0

    def paint(self, text: str, colour: str) -> str:
        """Return the text in colour, where colour suits."""
        return f"\x1b[{_PAINT[colour]}m{text}\x1b[0m" if self._colour else text

    def line(self, text: str = "") -> None:
        """Print one line as it is."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        rule = "─" * max(4, self._width - len(text) - 4)
        self.line(f"\n{self.paint(f'── {text}', 'bold')} {self.paint(rule, 'dim')}")

    def tell(self, text: str) -> None:
        """Print a paragraph, wrapped."""
        self.line(textwrap.fill(" ".join(text.split()), self._width))

    def quote(
        self, lines: Sequence[str], *, keep: int, hide: re.Pattern[str] | None = None
    ) -> None:
        """Print the last `keep` lines of an output, indented, without those that `hide` matches."""
        shown = [text for text in lines if not (hide and hide.search(text))][-keep:]
        for text in shown:
            short = text if len(text) <= self._width else text[: self._width - 1] + "…"
            self.line("    " + self._paint_verdict(short))
        if len(shown) < len(lines):
            left_out = f"    … {len(lines) - len(shown)} more in {self._log_name()}"
            self.line(self.paint(left_out, "dim"))

    def outcome(self, word: str, sentence: str, seconds: float) -> None:
        """Print what came out of a merge request."""
        mark = {"PASS": "✔", "SKIPPED": "·", "INCONCLUSIVE": "?"}.get(word, "✘")
        told = textwrap.fill(
            f"{mark} {word} after {seconds:.1f} s. {sentence}", self._width, subsequent_indent="  "
        )
        self.line(self._paint_verdict(told))

    def run(
        self,
        command: Sequence[str],
        *,
        shown: str,
        where: str,
        cwd: Path,
        env: Mapping[str, str],
        keep: int = 12,
        hide: re.Pattern[str] | None = None,
    ) -> Finished:
        """Show a command, run it with the seconds ticking, and show what it printed."""
        self._count += 1
        self.line(f"  {self.paint(f'{where} $', 'dim')} {self.paint(shown, 'cyan')}")
        finished = self._watch(command, cwd, env)
        self._write_log(command, finished)
        self.quote([text for text in finished.lines if text.strip()], keep=keep, hide=hide)
        return finished

    def _watch(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Finished:
        start, lines = time.monotonic(), list[str]()
        with subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            reader = threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True)
            reader.start()
            while not _ends_within(process, 0.1):
                self._tick(time.monotonic() - start, lines[-1] if lines else "")
            # A server that outlives its command may hold the pipe open; it has nothing more to say.
            reader.join(5)
        self._tick_away()
        return Finished(
            code=process.returncode, lines=tuple(lines), seconds=time.monotonic() - start
        )

    def _tick(self, seconds: float, last: str) -> None:
        if not self._live:
            return
        wheel = _WHEEL[int(seconds * 10) % len(_WHEEL)]
        text = f"    {wheel} {seconds:4.1f} s  {last.strip()}"[: self._width - 1]
        self._stream.write("\r\x1b[K" + self.paint(text, "dim"))
        self._stream.flush()

    def _tick_away(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")

    def _log_name(self) -> str:
        return os.path.relpath(self._logs / f"{self._count:02d}.txt")

    def _write_log(self, command: Sequence[str], finished: Finished) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        text = "\n".join((f"$ {shlex.join(command)}", *finished.lines, f"[{finished.code}]", ""))
        (self._logs / f"{self._count:02d}.txt").write_text(text, "utf-8")

    def _paint_verdict(self, text: str) -> str:
        word = re.search(r"\b(" + "|".join(_VERDICTS) + r")\b", text)
        if word is None:
            return text
        return text.replace(word[0], self.paint(word[0], _VERDICTS[word[0]]), 1)


def _collect(stream: IO[str], lines: list[str]) -> None:
    for text in stream:
        plain = _CONTROL.sub("", text.rstrip("\n"))
        if plain.strip() or not text.strip():
            lines.append(plain)


def _ends_within(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
