"""A valid request comes in; what GitLab would do, done to the world, and its answer go out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.fake_gitlab.world import Json, Place, World

_FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1`*\s*?$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\s*/([A-Za-z_]+)", re.MULTILINE)
_DONE = ("success", "failed", "canceled", "skipped")
_EVENTS = {"pending": "enqueue", "running": "run", "success": "success", "failed": "drop"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request that passed every check."""

    world: World
    user: int
    token: str
    parts: dict[str, str]
    query: dict[str, str]
    body: Any

    @property
    def place(self) -> Place:
        found = self.world.find_place(self.parts["project"])
        if found is None:
            raise RefusalError(404, "404 Project Not Found")
        return found

    @property
    def iid(self) -> int:
        iid = int(self.parts["iid"])
        if iid not in self.place.merge_requests:
            raise RefusalError(404, "404 Not found")
        return iid


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, a document and headers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """GitLab says no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _page(question: Question, items: Iterable[Json]) -> Answer:
    found = list(items)
    number, size = int(question.query.get("page", 1)), int(question.query.get("per_page", 20))
    size = min(size, 100)
    rest = len(found) > number * size
    headers = {"X-Total": str(len(found)), "X-Next-Page": str(number + 1) if rest else ""}
    return Answer(body=found[(number - 1) * size : number * size], headers=headers)


def read_user(question: Question) -> Answer:
    return Answer(body=question.world.users[question.user])


def read_token(question: Question) -> Answer:
    facts = question.world.tokens[question.token]
    return Answer(body={key: value for key, value in facts.items() if key != "kind"})


def read_project(question: Question) -> Answer:
    role = question.place.members.get(question.user, 0)
    shown = question.place.project
    return Answer(body={k: v for k, v in shown.items() if role >= 40 or not k.startswith("ci_")})


def _render_member(question: Question, user: int, role: int) -> Json:
    return {**question.world.users[user], "access_level": role, "membership_state": "active"}


def list_members(question: Question) -> Answer:
    members = question.place.members.items()
    return _page(question, (_render_member(question, user, role) for user, role in members))


def read_member(question: Question) -> Answer:
    user = int(question.parts["user"])
    if user not in question.place.members:
        raise RefusalError(404, "404 Not found")
    return Answer(body=_render_member(question, user, question.place.members[user]))


def read_merge_request(question: Question) -> Answer:
    return Answer(body=question.place.merge_requests[question.iid])


def list_versions(question: Question) -> Answer:
    return _page(question, question.place.versions[question.iid])


def read_approvals(question: Question) -> Answer:
    given = question.place.approvals.get(question.iid, [])
    return Answer(body={"approved": bool(given), "approved_by": given})


def list_label_events(question: Question) -> Answer:
    return _page(question, question.place.label_events.get(question.iid, []))


def list_notes(question: Question) -> Answer:
    notes = question.place.notes.get(question.iid, [])
    key = question.query.get("order_by", "created_at")
    ordered = sorted(notes, key=lambda note: (note[key], note["id"]))
    return _page(question, ordered if question.query.get("sort") == "asc" else ordered[::-1])


def create_note(question: Question) -> Answer:
    body = _take_commands(question, question.body["body"])
    note = question.world.add_note(question.place, question.iid, question.user, body)
    return Answer(status=201, body=note)


def _take_commands(question: Question, body: str) -> str:
    """Carry quick actions out as the caller, as GitLab does, and cut them from the text."""
    plain = _FENCE.sub("", body.replace("\r", ""))
    question.world.quick_actions += _COMMAND.findall(plain)
    return body.rstrip()


def _find_note(question: Question) -> Json:
    for note in question.place.notes.get(question.iid, []):
        if note["id"] == int(question.parts["note"]):
            if note["author"]["id"] != question.user and question.place.members[question.user] < 40:
                raise RefusalError(403, "403 Forbidden")
            return note
    raise RefusalError(404, "404 Note Not Found")


def update_note(question: Question) -> Answer:
    note = _find_note(question)
    note["body"] = _take_commands(question, question.body["body"])
    note["updated_at"] = question.world.now()
    return Answer(body=note)


def delete_note(question: Question) -> Answer:
    question.place.notes[question.iid].remove(_find_note(question))
    return Answer(status=204)


def list_statuses(question: Question) -> Answer:
    found = [one for one in question.place.statuses if one["sha"] == question.parts["sha"]]
    for name in ("name", "ref", "pipeline_id"):
        if name in question.query:
            found = [one for one in found if str(one[name]) == question.query[name]]
    if question.query.get("all") not in ("true", "1"):
        found = list({(one["name"], one["pipeline_id"]): one for one in found}.values())
    return _page(question, found)


def create_status(question: Question) -> Answer:
    """Move an unfinished status of the same name and user on, or begin a new one."""
    body, sha = question.body, question.parts["sha"]
    name = body.get("name") or body.get("context") or "default"
    found = _find_unfinished(question, sha, name)
    state = body["state"]
    event = _EVENTS.get(state, state)
    if found and (found["status"] == state or state == "pending"):
        raise RefusalError(400, f"Cannot transition status via :{event} from :{found['status']}")
    status = found or _add_status(question, sha, name)
    status["status"] = state
    status |= {key: body[key] for key in ("description", "target_url") if key in body}
    return Answer(status=201, body=status)


def _find_unfinished(question: Question, sha: str, name: str) -> Json | None:
    for one in question.place.statuses:
        same = (one["sha"], one["name"], one["pipeline_id"]) == (
            sha,
            name,
            _pipeline(question, sha),
        )
        if same and one["author"]["id"] == question.user and one["status"] not in _DONE:
            return one
    return None


def _pipeline(question: Question, sha: str) -> int | None:
    """Return the pipeline asked for, else the commit's newest, as GitLab picks one."""
    given = question.body.get("pipeline_id")
    own = [one["id"] for one in question.place.pipelines if one["sha"] == sha]
    if given is not None and given not in own:
        raise RefusalError(404, "404 Pipeline Not Found")
    return given if given is not None else max(own, default=None)


def _add_status(question: Question, sha: str, name: str) -> Json:
    status: Json = {
        "id": question.world.new_id(),
        "sha": sha,
        "ref": question.body.get("ref", "main"),
        "name": name,
        "description": None,
        "target_url": None,
        "pipeline_id": _pipeline(question, sha),
        "author": question.world.users[question.user],
        "created_at": question.world.now(),
    }
    question.place.statuses.append(status)
    return status


def create_upload(question: Question) -> Answer:
    name, content = question.body["file"]
    secret = hashlib.sha256(f"{question.world.new_id()}".encode()).hexdigest()[:32]
    url = f"/uploads/{secret}/{name}"
    question.place.uploads.append({"url": url, "size": len(content)})
    whole = f"/-/project/{question.place.project['id']}{url}"
    body = {"alt": name, "url": url, "full_path": whole, "markdown": f"![{name}]({url})"}
    return Answer(status=201, body=body)


def list_pipelines(question: Question) -> Answer:
    found = question.place.pipelines
    for name in ("ref", "sha", "status", "source"):
        if name in question.query:
            found = [one for one in found if one[name] == question.query[name]]
    ordered = sorted(found, key=lambda one: one["id"], reverse=question.query.get("sort") != "asc")
    return _page(question, (_hide_variables(one) for one in ordered))


def _hide_variables(pipeline: Json) -> Json:
    return {key: value for key, value in pipeline.items() if key != "variables"}


def list_pipeline_variables(question: Question) -> Answer:
    for pipeline in question.place.pipelines:
        if pipeline["id"] == int(question.parts["pipeline"]):
            return Answer(body=pipeline["variables"])
    raise RefusalError(404, "404 Not found")


def create_pipeline(question: Question) -> Answer:
    pipeline = question.world.add_pipeline(
        question.place,
        ref=question.body["ref"],
        source="api",
        variables=question.body.get("variables", []),
    )
    return Answer(status=201, body=_hide_variables(pipeline))


def list_merge_request_pipelines(question: Question) -> Answer:
    request = question.place.merge_requests[question.iid]
    refs = (request["source_branch"], f"refs/merge-requests/{request['iid']}/head")
    found = [one for one in question.place.pipelines if one["ref"] in refs]
    return _page(question, (_hide_variables(one) for one in reversed(found)))


def list_protected_branches(question: Question) -> Answer:
    return _page(question, question.place.protected_branches)


def list_variables(question: Question) -> Answer:
    return _page(question, question.place.variables)


def list_resource_groups(question: Question) -> Answer:
    return _page(question, question.place.resource_groups)


_PROJECT = "/projects/:project"
_REQUEST = f"{_PROJECT}/merge_requests/:iid"
ANSWERS: dict[str, Callable[[Question], Answer]] = {
    "GET /user": read_user,
    "GET /personal_access_tokens/self": read_token,
    f"GET {_PROJECT}": read_project,
    f"GET {_PROJECT}/members/all": list_members,
    f"GET {_PROJECT}/members/all/:user": read_member,
    f"GET {_PROJECT}/protected_branches": list_protected_branches,
    f"GET {_PROJECT}/variables": list_variables,
    f"GET {_PROJECT}/resource_groups": list_resource_groups,
    f"GET {_PROJECT}/pipelines": list_pipelines,
    f"GET {_PROJECT}/pipelines/:pipeline/variables": list_pipeline_variables,
    f"POST {_PROJECT}/pipeline": create_pipeline,
    f"GET {_REQUEST}": read_merge_request,
    f"GET {_REQUEST}/versions": list_versions,
    f"GET {_REQUEST}/approvals": read_approvals,
    f"GET {_REQUEST}/resource_label_events": list_label_events,
    f"GET {_REQUEST}/pipelines": list_merge_request_pipelines,
    f"GET {_REQUEST}/notes": list_notes,
    f"POST {_REQUEST}/notes": create_note,
    f"PUT {_REQUEST}/notes/:note": update_note,
    f"DELETE {_REQUEST}/notes/:note": delete_note,
    f"GET {_PROJECT}/repository/commits/:sha/statuses": list_statuses,
    f"POST {_PROJECT}/statuses/:sha": create_status,
    f"POST {_PROJECT}/uploads": create_upload,
}
