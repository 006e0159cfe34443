"""What GitLab knows: users, tokens, projects and all that hangs on them, shaped like the API's JSON."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
_START = datetime(2026, 1, 5, 8, tzinfo=UTC)
DEVELOPER, MAINTAINER = 30, 40


@dataclass(kw_only=True)
class Place:
    """One project."""

    project: Json
    members: dict[int, int] = field(default_factory=dict)
    merge_requests: dict[int, Json] = field(default_factory=dict)
    versions: dict[int, list[Json]] = field(default_factory=dict)
    notes: dict[int, list[Json]] = field(default_factory=dict)
    approvals: dict[int, list[Json]] = field(default_factory=dict)
    label_events: dict[int, list[Json]] = field(default_factory=dict)
    statuses: list[Json] = field(default_factory=list)
    uploads: list[Json] = field(default_factory=list)
    pipelines: list[Json] = field(default_factory=list)
    protected_branches: list[Json] = field(default_factory=list)
    variables: list[Json] = field(default_factory=list)
    resource_groups: list[Json] = field(default_factory=list)


class World:
    """All of it; not locked: the server takes care of that."""

    def __init__(self) -> None:
        self.users: dict[int, Json] = {}
        self.tokens: dict[str, Json] = {}
        self.places: dict[int, Place] = {}
        self.quick_actions: list[str] = []
        self._ids = itertools.count(1)
        self._seconds = itertools.count()

    def new_id(self) -> int:
        return next(self._ids)

    def now(self) -> str:
        """Return the next second of a clock that only goes on when it is looked at."""
        at = _START + timedelta(seconds=next(self._seconds))
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add_user(self, username: str, *, id: int | None = None) -> int:  # noqa: A002 - as in the API
        number = id or self.new_id()
        self.users[number] = {
            "id": number,
            "username": username,
            "name": username,
            "state": "active",
        }
        return number

    def add_token(
        self,
        token: str,
        user: int,
        *,
        scopes: tuple[str, ...] = ("api",),
        kind: str = "bearer",
        expires_at: str | None = "2027-01-01",
    ) -> None:
        self.tokens[token] = {
            "id": self.new_id(),
            "name": f"token of {self.users[user]['username']}",
            "user_id": user,
            "scopes": list(scopes),
            "kind": kind,
            "active": True,
            "revoked": False,
            "expires_at": expires_at,
        }

    def add_project(self, path: str, **settings: Any) -> Place:
        number = settings.pop("id", None) or self.new_id()
        project = {
            "id": number,
            "path_with_namespace": path,
            "name": path.rpartition("/")[2],
            "default_branch": "main",
            "web_url": f"https://gitlab.example/{path}",
            "visibility": "private",
            "ci_allow_fork_pipelines_to_run_in_parent_project": False,
            "ci_push_repository_for_job_token_allowed": False,
            "ci_separated_caches": True,
            "only_allow_merge_if_pipeline_succeeds": True,
            "ci_config_path": "",
            **settings,
        }
        self.places[number] = place = Place(project=project)
        return place

    def add_merge_request(self, place: Place, iid: int, **facts: Any) -> Json:
        author = facts.pop("author", None) or self.users[next(iter(place.members))]
        request = {
            "id": self.new_id(),
            "iid": iid,
            "project_id": place.project["id"],
            "title": f"Change {iid}",
            "state": "opened",
            "sha": f"{iid:040x}",
            "source_branch": f"change-{iid}",
            "target_branch": place.project["default_branch"],
            "source_project_id": place.project["id"],
            "target_project_id": place.project["id"],
            "author": author,
            "labels": [],
            "draft": False,
            "web_url": f"{place.project['web_url']}/-/merge_requests/{iid}",
            **facts,
        }
        place.merge_requests[iid] = request
        self.move_head(place, iid, request["sha"])
        return request

    def move_head(self, place: Place, iid: int, sha: str) -> None:
        """Do what a push to the source branch does."""
        place.merge_requests[iid]["sha"] = sha
        version = {
            "id": self.new_id(),
            "head_commit_sha": sha,
            "base_commit_sha": "b" * 40,
            "start_commit_sha": "b" * 40,
            "created_at": self.now(),
            "state": "collected",
        }
        place.versions.setdefault(iid, []).insert(0, version)

    def approve(self, place: Place, iid: int, user: int) -> None:
        entry = {"user": self.users[user], "approved_at": self.now()}
        place.approvals.setdefault(iid, []).append(entry)

    def set_label(
        self, place: Place, iid: int, user: int, label: str, *, action: str = "add"
    ) -> None:
        labels = place.merge_requests[iid]["labels"]
        labels.append(label) if action == "add" else labels.remove(label)
        event = {
            "id": self.new_id(),
            "user": self.users[user],
            "created_at": self.now(),
            "resource_type": "MergeRequest",
            "label": {"id": 1, "name": label},
            "action": action,
        }
        place.label_events.setdefault(iid, []).append(event)

    def add_note(
        self, place: Place, iid: int, user: int, body: str, *, system: bool = False
    ) -> Json:
        now = self.now()
        note = {
            "id": self.new_id(),
            "body": body,
            "author": self.users[user],
            "system": system,
            "internal": False,
            "created_at": now,
            "updated_at": now,
            "noteable_iid": iid,
            "noteable_type": "MergeRequest",
        }
        place.notes.setdefault(iid, []).append(note)
        return note

    def add_pipeline(self, place: Place, **facts: Any) -> Json:
        number = self.new_id()
        pipeline = {
            "id": number,
            "project_id": place.project["id"],
            "sha": "c" * 40,
            "ref": place.project["default_branch"],
            "status": "created",
            "source": "push",
            "web_url": f"{place.project['web_url']}/-/pipelines/{number}",
            "variables": [],
            **facts,
        }
        place.pipelines.append(pipeline)
        return pipeline

    def find_place(self, name: str) -> Place | None:
        for place in self.places.values():
            if name in (str(place.project["id"]), place.project["path_with_namespace"]):
                return place
        return None

    def load(self, seed: Json) -> None:
        """Fill the world from a document: users, tokens, projects with members and merge requests.

        Example: `{"users": [{"id": 1, "username": "bot"}], "tokens": [{"token": "t", "user": 1}],
        "projects": [{"path": "team/cars", "members": {"1": 40}, "merge_requests": [{"iid": 7}]}]}`.
        Any list of a project (variables, protected_branches, ...) is taken as it is.
        """
        for user in seed.get("users", []):
            self.add_user(**user)
        for token in seed.get("tokens", []):
            self.add_token(**token)
        for project in seed.get("projects", []):
            self._load_project(dict(project))

    def _load_project(self, project: Json) -> None:
        requests = project.pop("merge_requests", [])
        members = project.pop("members", {})
        lists = ("protected_branches", "variables", "resource_groups", "pipelines", "statuses")
        given = {name: project.pop(name) for name in lists if name in project}
        place = self.add_project(**project)
        place.members.update({int(user): role for user, role in members.items()})
        for name, items in given.items():
            getattr(place, name).extend(items)
        for request in requests:
            self.add_merge_request(place, **request)
