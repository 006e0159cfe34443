"""A GitLab for tests: an HTTP server on 127.0.0.1 that python-gitlab talks to as to a real one.

In a test: `with serve_fake_gitlab() as fake:`, then `fake.world.add_user(...)`, `fake.fail(...)`,
`fake.record.calls`. As a process of its own: `python -m tests.fake_gitlab --port 0 --ready-file F`.
"""

from tests.fake_gitlab.faults import Fault, FaultKind
from tests.fake_gitlab.running import serve_fake_gitlab, serve_other_host
from tests.fake_gitlab.server import FakeGitlab
from tests.fake_gitlab.stranger import OtherHost
from tests.fake_gitlab.world import DEVELOPER, MAINTAINER, Place, World

__all__ = [
    "DEVELOPER",
    "MAINTAINER",
    "FakeGitlab",
    "Fault",
    "FaultKind",
    "OtherHost",
    "Place",
    "World",
    "serve_fake_gitlab",
    "serve_other_host",
]
