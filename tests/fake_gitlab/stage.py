"""A project with a merge request, a bot and some people, ready to be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gitops.adapters import gitlab
from tests.fake_gitlab.running import serve_fake_gitlab
from tests.fake_gitlab.server import FakeGitlab
from tests.fake_gitlab.world import DEVELOPER, MAINTAINER, Json, Place

PATH, IID = "team/cars", 7
SHA = "a" * 40
TOKEN = "glpat-canary/0+N0body~should==see-this"
QUICK = gitlab.Limits(
    connect_seconds=2.0,
    read_seconds=0.5,
    attempts=3,
    first_wait=0.02,
    longest_wait=2.0,
    settle_seconds=0.0,
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The fake, and what stands on it."""

    fake: FakeGitlab
    place: Place
    bot: int
    maintainer: int
    contributor: int

    def connect(self, *, limits: gitlab.Limits = QUICK, token: str = TOKEN) -> gitlab.Connection:
        return gitlab.connect(self.fake.url, token, limits=limits)

    @property
    def notes(self) -> list[Json]:
        return self.place.notes.get(IID, [])

    @property
    def written(self) -> list[str]:
        """Return the method of each call that was meant to change something, faulty ones too."""
        return [call.method for call in self.fake.writes]


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Run a GitLab with `team/cars!7`; afterwards hold that every request was a valid one."""
    with serve_fake_gitlab() as fake:
        world = fake.world
        bot, maintainer, contributor = (
            world.add_user(name) for name in ("project_1_bot", "mara", "cleo")
        )
        world.add_token(TOKEN, bot)
        place = world.add_project(PATH)
        place.members.update({contributor: DEVELOPER, bot: DEVELOPER, maintainer: MAINTAINER})
        world.add_merge_request(place, IID, sha=SHA, author=world.users[contributor])
        yield Stage(fake=fake, place=place, bot=bot, maintainer=maintainer, contributor=contributor)
        assert fake.record.complaints == []
