"""A kustomization comes in; the objects that `kubectl kustomize` makes of it go out.

An evaluator of just what kubernetes/ uses, stricter than the real one: a field that it does not know,
a patch without a target or an image that nobody has is an error. Where kubectl is installed, a test
compares the two.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

Body = dict[str, Any]

CLUSTER_WIDE = {"Namespace", "ClusterStorageContainer", "ClusterRole", "ClusterRoleBinding"}
_HASHED = "gitops.test/hashed"
# kustomize spells the first ten hex digits of the hash so that they can form no word.
_SAFE = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})


def build(folder: Path) -> list[Body]:
    """Return the objects of a kustomization, in no particular order; ValueError when it means nothing."""
    objects = _accumulate(folder)
    keys = [_key(each) for each in objects]
    _require(len(set(keys)) == len(keys), f"{folder}: an object appears twice")
    for config in [each for each in objects if _HASHED in each]:
        _rename(objects, config)
    return objects


def _key(body: Body) -> tuple[str, ...]:
    meta = body["metadata"]
    return (body["apiVersion"], body["kind"], meta.get("namespace", ""), meta["name"])


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _accumulate(folder: Path) -> list[Body]:
    content = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    _require(content.pop("kind") == "Kustomization", f"{folder}: not a Kustomization")
    _require(
        content.pop("apiVersion") == "kustomize.config.k8s.io/v1beta1", f"{folder}: apiVersion"
    )
    unknown = set(content) - set(_STEPS) - {"resources"}
    _require(not unknown, f"{folder}: unknown fields {sorted(unknown)}")
    objects = [each for name in content.get("resources", ()) for each in _load(folder / name)]
    # The order is kustomize's own, whatever the file's.
    for field, step in _STEPS.items():
        if field in content:
            step(objects, content[field], folder)
    return objects


def _load(place: Path) -> list[Body]:
    if place.is_dir():
        return _accumulate(place)
    return [each for each in yaml.safe_load_all(place.read_text("utf-8")) if each is not None]


def _generate(objects: list[Body], generators: list[Body], folder: Path) -> None:
    for each in generators:
        _require(set(each) == {"name", "files"}, f"{folder}: generator {sorted(each)}")
        data = {Path(name).name: (folder / name).read_text("utf-8") for name in each["files"]}
        _require(len(data) == len(each["files"]), f"{folder}: two files of one name")
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": each["name"]},
                "data": data,
                _HASHED: True,
            }
        )


def _patch(objects: list[Body], patches: list[Body], folder: Path) -> None:
    for each in patches:
        _require(set(each) == {"target", "patch"}, f"{folder}: patch {sorted(each)}")
        chosen = list(_select(objects, each["target"]))
        _require(chosen, f"{folder}: nothing is {each['target']}")
        for body in chosen:
            for operation in yaml.safe_load(each["patch"]):
                _operate(body, operation)


def _select(objects: list[Body], target: Body) -> Iterator[Body]:
    _require({"kind", "name"} <= set(target) <= {"kind", "name", "namespace"}, f"target {target}")
    namespaces = {target["namespace"]} if "namespace" in target else None
    for body in objects:
        meta = body["metadata"]
        named = body["kind"] == target["kind"] and meta["name"] == target["name"]
        if named and (namespaces is None or meta.get("namespace") in namespaces):
            yield body


def _operate(body: Body, operation: Body) -> None:
    """Apply one JSON patch operation (RFC 6902)."""
    *parents, last = operation["path"].removeprefix("/").split("/")
    place: Any = body
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    key: Any = int(last) if isinstance(place, list) else last
    kind = operation["op"]
    exists = key < len(place) if isinstance(place, list) else key in place
    _require(kind == "add" or exists, f"{operation}: there is no such place")
    if kind == "test":
        _require(place[key] == operation["value"], f"{operation}: it is {place[key]!r}")
    elif kind == "remove":
        del place[key]
    elif kind == "replace" or (kind == "add" and isinstance(place, dict)):
        place[key] = copy.deepcopy(operation["value"])
    else:
        raise ValueError(f"{operation}: not supported")


def _set_namespace(objects: list[Body], namespace: str, folder: Path) -> None:
    for body in objects:
        if body["kind"] not in CLUSTER_WIDE:
            body["metadata"]["namespace"] = namespace
    accounts = {each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"}
    for body in objects:
        for subject in body.get("subjects", ()) if body["kind"] == "RoleBinding" else ():
            if subject["kind"] == "ServiceAccount" and subject["name"] in accounts:
                subject.setdefault("namespace", namespace)


def _label(objects: list[Body], labels: list[Body], folder: Path) -> None:
    for each in labels:
        _require(set(each) == {"pairs"}, f"{folder}: labels {sorted(each)}")
        for body in objects:
            body["metadata"].setdefault("labels", {}).update(each["pairs"])


def _set_images(objects: list[Body], images: list[Body], folder: Path) -> None:
    for each in images:
        _require(set(each) == {"name", "newName", "digest"}, f"{folder}: image {sorted(each)}")
        using = [c for body in objects for c in _containers(body) if c.get("image") == each["name"]]
        _require(using, f"{folder}: nobody uses the image {each['name']}")
        for container in using:
            container["image"] = f"{each['newName']}@{each['digest']}"


def _containers(value: Any) -> Iterator[Body]:
    """Yield what is in any list named `containers` or `initContainers`, as kustomize finds images."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"containers", "initContainers"} and isinstance(inner, list):
                yield from inner
            else:
                yield from _containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _containers(inner)


def _replace(objects: list[Body], replacements: list[Body], folder: Path) -> None:
    for each in replacements:
        _require(set(each) == {"source", "targets"}, f"{folder}: replacement {sorted(each)}")
        source = dict(each["source"])
        path = source.pop("fieldPath")
        (origin,) = _select(objects, source)
        holder, key = _find(origin, path)
        for target in each["targets"]:
            _require(set(target) == {"select", "fieldPaths"}, f"{folder}: {sorted(target)}")
            chosen = list(_select(objects, target["select"]))
            _require(chosen, f"{folder}: nothing is {target['select']}")
            for body in chosen:
                for wanted in target["fieldPaths"]:
                    place, name = _find(body, wanted)
                    place[name] = copy.deepcopy(holder[key])


def _find(body: Body, path: str) -> tuple[Any, str]:
    """Return the holder and the key of `a.b.[name=x].c`; it must exist."""
    *parents, last = path.split(".")
    place: Any = body
    for part in parents:
        if part.startswith("["):
            name, _, value = part.strip("[]").partition("=")
            (place,) = (each for each in place if each[name] == value)
        else:
            place = place[part]
    _require(last in place, f"{path}: there is no such place")
    return place, last


def _rename(objects: list[Body], config: Body) -> None:
    """Give a generated ConfigMap the suffix that its content decides, there and where it is mounted."""
    del config[_HASHED]
    meta = config["metadata"]
    old, namespace = meta["name"], meta.get("namespace")
    meta["name"] = f"{old}-{_hash(config)}"
    for body in objects:
        if body["kind"] != "Deployment" or body["metadata"].get("namespace") != namespace:
            continue
        for volume in body["spec"]["template"]["spec"].get("volumes", ()):
            if volume.get("configMap", {}).get("name") == old:
                volume["configMap"]["name"] = meta["name"]


def _hash(config: Body) -> str:
    # kustomize means to put the name in, and looks for it in the wrong place.
    content = {"data": config["data"], "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Go's encoder keeps JSON safe inside HTML and JavaScript.
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(_SAFE)


_STEPS: dict[str, Callable[[list[Body], Any, Path], None]] = {
    "configMapGenerator": _generate,
    "patches": _patch,
    "namespace": _set_namespace,
    "labels": _label,
    "images": _set_images,
    "replacements": _replace,
}
