"""A folder comes in; a real Git repository in it goes out, the same bytes and ids every time.

Nothing of the machine leaks in: no user or system configuration, fixed people, fixed dates.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FIRST_SECOND = 1_700_000_000
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass
class Repository:
    """A work tree for tests; each commit is a minute later than the one before."""

    path: Path
    minutes: int = field(default=0, repr=False)

    def git(self, *arguments: str | bytes, stdin: bytes = b"") -> str:
        """Run git here and return what it prints, without the last line end."""
        date = f"{FIRST_SECOND + 60 * self.minutes} +0000"
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=stdin,
            capture_output=True,
            env={**ENVIRONMENT, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"git {arguments!r}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def write(self, path: str, content: str | bytes = "") -> Path:
        """Write a file, making its folders, and return its path."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, message: str = "Change", **files: str) -> str:
        """Commit everything in the work tree; return the full id."""
        for name, content in files.items():
            self.write(name, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        self.minutes += 1
        return self.git("rev-parse", "HEAD")

    def commit_files(self, files: dict[str, str | bytes], message: str = "Change") -> str:
        """Write files by path, then commit everything."""
        for path, content in files.items():
            self.write(path, content)
        return self.commit(message)

    def commit_history(self, branch: str, count: int, folder: str, *, start: str = "") -> str:
        """Add commits of one file each to a branch in a single process; return the last id.

        The work tree stays as it is, so this suits a bare repository.
        """
        stream = f"reset refs/heads/{branch}\nfrom {start}\n\n" if start else ""
        parent = f"from refs/heads/{branch}^0\n" if not start and self._has(branch) else ""
        for number in range(count):
            stream += (
                f"commit refs/heads/{branch}\n"
                f"committer Ada <ada@example.org> {FIRST_SECOND + 60 * self.minutes} +0000\n"
                f"data 6\nChange\n{parent if number == 0 else ''}"
                f"M 100644 inline {folder}/{number}.txt\ndata 1\nx\n\n"
            )
            self.minutes += 1
        self.git("fast-import", "--quiet", stdin=stream.encode())
        return self.git("rev-parse", branch)

    def _has(self, branch: str) -> bool:
        return bool(self.git("for-each-ref", f"refs/heads/{branch}"))


def make_repository(path: Path) -> Repository:
    """Make an empty repository on branch main."""
    path.mkdir(parents=True, exist_ok=True)
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch=main")
    return repository


def make_bare(path: Path, source: Repository | None = None) -> Repository:
    """Make a bare repository, a remote for others; with a source, one that holds its branches."""
    path.mkdir(parents=True, exist_ok=True)
    bare = Repository(path)
    bare.git("init", "--quiet", "--bare", "--initial-branch=main")
    if source is not None:
        source.git("push", "--quiet", str(path), "refs/heads/*:refs/heads/*")
    return bare


def make_clone(source: Path, path: Path, *options: str) -> Repository:
    """Clone over the file protocol, as from a server; options such as `--depth=20`."""
    path.mkdir(parents=True, exist_ok=True)
    clone = Repository(path, minutes=10_000)
    clone.git("clone", "--quiet", *options, f"file://{source}", ".")
    return clone


def render_pointer_file(name: str, content: bytes) -> str:
    """Return the text of the `.dvc` file that `dvc add` would write for one file."""
    # DVC names content by MD5; nothing here relies on its strength.
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {name}\n"
