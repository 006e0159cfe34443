"""A remote and a cache come in; DVC runs, for a bounded time, where only our own files are."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gitops.adapters.dvc.remote import Remote, render_config
from gitops.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

POINTER = "object.dvc"
_OUTPUT = "output.txt"
# What DVC and the cloud libraries below it need to find credentials, proxies and certificates.
_KEPT = re.compile(
    r"HOME|PATH|LANG|LC_ALL|TMPDIR|USER|SSH_AUTH_SOCK|XDG_CONFIG_HOME"
    r"|(HTTPS?|NO|ALL)_PROXY|(https?|no|all)_proxy"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE"
    r"|(AWS|AZURE|GOOGLE|GDRIVE|OSS)_\w+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A folder with a `.dvc` of our own, in which no byte of a merge request lies.

    Attributes:
        folder: the folder; it goes when the workspace closes.
        remote: the only remote that DVC knows here; None where no remote is needed.
    """

    folder: Path
    remote: Remote | None

    def write_pointer(self, hashes: Iterable[str]) -> None:
        """Write the pointer that the next command works on: our names, only the hashes given."""
        outs = [{"md5": md5, "hash": "md5", "path": str(index)} for index, md5 in enumerate(hashes)]
        (self.folder / POINTER).write_text(json.dumps({"outs": outs}), encoding="utf-8")

    def start(self, arguments: list[str]) -> subprocess.Popen[str]:
        """Start Python with these arguments in a process group of its own; errors go to a file."""
        with (self.folder / _OUTPUT).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", *arguments],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )

    def run_dvc(self, *arguments: str, timeout: float) -> None:
        """Run one DVC command; its exit code 0 is necessary, never sufficient.

        Raises:
            OutsideError: it failed, or did not end within `timeout` seconds and was killed.
        """
        process = self.start(["-m", "dvc", *arguments])
        command = f"dvc {arguments[0]}"
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise self.failure(f"{command} did not end within {timeout:g} s") from error
        finally:
            stop(process)
        if process.returncode != 0:
            raise self.failure(f"{command} failed", output)

    def failure(self, what: str, output: str = "") -> OutsideError:
        """Return the error for a command that failed, with the last lines that it printed."""
        text = output + (self.folder / _OUTPUT).read_text(encoding="utf-8", errors="replace")
        if self.remote:
            text = self.remote.redact(text)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = f": {' | '.join(lines[-4:])[-800:]}" if lines else ""
        return OutsideError(
            what + said,
            where=self.remote.address if self.remote else "",
            hint="check that the remote answers and that the credentials are right, then run again",
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
        # A private site cache: DVC's index of a remote remembers objects that are long gone.
        site = str(self.folder / "site")
        return kept | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": site, "PYTHONUTF8": "1"}


@contextmanager
def open_workspace(remote: Remote | None, cache: Path | None) -> Iterator[Workspace]:
    """Make a workspace, with a cache of its own if `cache` is None; it is gone afterwards."""
    with TemporaryDirectory(prefix="gitops-dvc-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / ".dvc").mkdir()
        (folder / ".dvc" / "config").write_text(render_config(remote, cache), encoding="utf-8")
        yield Workspace(folder=folder, remote=remote)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that still runs, and all that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
