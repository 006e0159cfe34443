"""Objects come in and are kept, changed, deleted and watched as the API server does; refusals are StatusError."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fake_kubernetes import fields
from tests.fake_kubernetes.fields import Body

_WITHOUT_NAMESPACE = {"namespaces", "clusterstoragecontainers", "clusterservingruntimes"}


class StatusError(Exception):
    """The API server says no.

    Attributes:
        code: HTTP status.
        reason: Kubernetes' word for it, e.g. `Conflict`.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def render(self) -> Body:
        """Return the `Status` that a client reads."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where objects of one kind live; `namespace` is empty for those of the whole cluster."""

    group: str
    version: str
    plural: str
    namespace: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, as a watch tells it."""

    version: int
    kind: str
    place: Place
    body: Body


SERVICES = Place(group="serving.kserve.io", version="v1beta1", plural="inferenceservices")


class Store:
    """All objects and their history; `changed` is its lock, and notified with each change.

    Attributes:
        validate: the webhooks: (place, old or None, new) -> None, or StatusError.
    """

    def __init__(self, validate: Callable[[Place, Body | None, Body], None]) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.validate = validate
        self.objects: dict[tuple[Place, str], Body] = {}
        self.history: list[Event] = []
        self.version = 100
        self.oldest = 100

    def read(self, place: Place, name: str) -> Body:
        """Return a copy of an object; 404 if there is none."""
        with self.changed:
            found = self.objects.get((place, name))
            if found is None:
                kind = f"{place.plural}.{place.group}".rstrip(".")
                raise StatusError(404, "NotFound", f'{kind} "{name}" not found')
            return copy.deepcopy(found)

    def find(self, place: Place, matches: Callable[[Body], bool]) -> tuple[list[Body], int]:
        """Return the matching objects, of every namespace if none is given, and the version now."""
        with self.changed:
            found = [
                copy.deepcopy(body)
                for (where, _), body in sorted(self.objects.items(), key=lambda item: item[0])
                if covers(place, where) and matches(body)
            ]
            return found, self.version

    def create(self, place: Place, body: Body, manager: str) -> Body:
        """Store a new object; 409 AlreadyExists, 404 without its namespace."""
        with self.changed:
            name = _read_name(body)
            if (place, name) in self.objects:
                raise StatusError(409, "AlreadyExists", f'{place.plural} "{name}" already exists')
            return self._store(place, name, fields.update({}, _without_status(body), manager))

    def replace(self, place: Place, name: str, body: Body, manager: str) -> Body:
        """PUT: everything but the status and what the server owns is as given."""
        with self.changed:
            live = self.read(place, name)
            return self._change(place, live, _without_status(body), manager)

    def patch(self, place: Place, name: str, patch: Body, manager: str) -> Body:
        """Merge patch (RFC 7386)."""
        with self.changed:
            live = self.read(place, name)
            return self._change(place, live, _merge_patch(live, _without_status(patch)), manager)

    def apply(self, place: Place, name: str, body: Body, manager: str, *, force: bool) -> Body:
        """Server-side apply; creates what is not there, 409 when another manager owns a field."""
        with self.changed:
            if not manager:
                raise StatusError(
                    422, "Invalid", "fieldManager: Required value: is required for apply patch"
                )
            if body.get("metadata", {}).get("managedFields"):
                raise StatusError(400, "BadRequest", "metadata.managedFields must be nil")
            if _read_name(body) != name:
                raise StatusError(
                    400, "BadRequest", "the name of the object does not match the URL"
                )
            live = self.objects.get((place, name), {})
            if live:
                _check_version(live, body)
            try:
                merged = fields.apply(live, _without_status(body), manager, force=force)
            except fields.FieldConflictError as error:
                raise StatusError(409, "Conflict", str(error)) from error
            return self._store(place, name, merged)

    def delete(self, place: Place, name: str) -> Body:
        """Delete at once; there are no finalizers here."""
        with self.changed:
            body = self.read(place, name)
            del self.objects[place, name]
            self._record("DELETED", place, body)
            return body

    def write_status(self, place: Place, name: str, status: Body) -> bool:
        """Say what a controller observed; False when that changes nothing."""
        with self.changed:
            live = self.objects.get((place, name))
            if live is None or live.get("status") == status:
                return False
            self._record("MODIFIED", place, {**live, "status": copy.deepcopy(status)})
            return True

    def read_events(self, place: Place, after: int) -> list[Event]:
        """Return what happened after a version; 410 when that is forgotten."""
        with self.changed:
            if after < self.oldest:
                raise StatusError(
                    410, "Expired", f"too old resource version: {after} ({self.oldest})"
                )
            return [e for e in self.history if e.version > after and covers(place, e.place)]

    def forget_history(self) -> None:
        """Compact: no watch can start from before now."""
        with self.changed:
            self.history.clear()
            self.oldest = self.version

    def _change(self, place: Place, live: Body, wanted: Body, manager: str) -> Body:
        _check_version(live, wanted)
        kept = {key: live["metadata"][key] for key in _SERVER_KEYS if key in live["metadata"]}
        wanted["metadata"] = {**wanted.get("metadata", {}), **kept}
        if "status" in live:
            wanted["status"] = live["status"]
        return self._store(place, live["metadata"]["name"], fields.update(live, wanted, manager))

    def _store(self, place: Place, name: str, body: Body) -> Body:
        live = self.objects.get((place, name))
        self._check_namespace(place)
        body.setdefault("apiVersion", place.api_version)
        self.validate(place, live, body)
        if live is not None and _content(live) == _content(body):
            return copy.deepcopy(live)
        meta = body["metadata"]
        if live is None:
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": fields.now(), "generation": 1}
            meta |= {"namespace": place.namespace} if place.namespace else {}
        elif live.get("spec") != body.get("spec"):
            meta["generation"] = live["metadata"]["generation"] + 1
        self._record("MODIFIED" if live else "ADDED", place, body)
        return copy.deepcopy(body)

    def _record(self, kind: str, place: Place, body: Body) -> None:
        self.version += 1
        body["metadata"] = {**body["metadata"], "resourceVersion": str(self.version)}
        if kind != "DELETED":
            self.objects[place, body["metadata"]["name"]] = body
        self.history.append(
            Event(version=self.version, kind=kind, place=place, body=copy.deepcopy(body))
        )
        self.changed.notify_all()

    def _check_namespace(self, place: Place) -> None:
        if place.plural in _WITHOUT_NAMESPACE or not place.namespace:
            return
        home = Place(group="", version="v1", plural="namespaces")
        if (home, place.namespace) not in self.objects:
            raise StatusError(404, "NotFound", f'namespaces "{place.namespace}" not found')


_SERVER_KEYS = ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion")


def covers(place: Place, where: Place) -> bool:
    """Tell whether objects in one place belong to a question about another."""
    same = (place.group, place.version, place.plural) == (where.group, where.version, where.plural)
    return same and place.namespace in ("", where.namespace)


def _read_name(body: Body) -> str:
    name = body.get("metadata", {}).get("name")
    if not isinstance(name, str) or not name:
        raise StatusError(422, "Invalid", "metadata.name: Required value: name is required")
    return name


def _check_version(live: Body, wanted: Body) -> None:
    given = wanted.get("metadata", {}).get("resourceVersion")
    if given and given != live["metadata"]["resourceVersion"]:
        name = live["metadata"]["name"]
        message = (
            f'Operation cannot be fulfilled on "{name}": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )
        raise StatusError(409, "Conflict", message)


def _without_status(body: Body) -> Body:
    return copy.deepcopy({key: value for key, value in body.items() if key != "status"})


def _content(body: Body) -> Any:
    """Return what makes two versions differ: not the times at which fields were set."""
    meta = body["metadata"]
    owners = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in meta.get("managedFields", [])
    ]
    return {**body, "metadata": {**meta, "managedFields": owners}}


def _merge_patch(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_patch(merged.get(key), value)
    return merged
