"""Process groups come in, one per line of standard input; all of them end when the one who wrote them is gone.

A test that is killed cannot clean up after itself. The last word `done` says that nothing is left to do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


class Guard:
    """The other end: tell it what to end should this process die."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, group: int) -> None:
        """Have a process group end with this process."""
        self._write(str(group))

    def close(self) -> None:
        """Everything was ended in order."""
        self._write("done")
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


def main() -> None:
    """Read until the writer is gone, then end what is left."""
    lines = sys.stdin.read().split()
    if lines[-1:] == ["done"]:
        return
    for group in lines:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)


if __name__ == "__main__":
    main()
