"""A plan, job templates and what an image brings come in; the YAML of a GitLab child pipeline goes out.

Templates are filled here and not by an `include`, so that the jobs of a merge request are those of
the toolkit's image: a merge request cannot bring its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.errors import InputError
from gitops.plan import Plan

REVIEW = ("run", "gate", "report")
PRODUCTION = ("release", "rollout")
_BLOCK = re.compile(r"\$\[\[\s*inputs\.([a-z_]+)\s*\]\]")
_TYPES: dict[str, type] = {"string": str, "array": list, "boolean": bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What all jobs of a child pipeline share.

    Attributes:
        image: container image of every job, pinned by digest.
        tags: tags of the runners that may take them; none for any runner.
        prefix: beginning of every job's name.
    """

    image: str
    tags: tuple[str, ...] = ()
    prefix: str = "gitops"

    @property
    def inputs(self) -> dict[str, Any]:
        """Return what each template is given."""
        return {"image": self.image, "prefix": self.prefix}

    def make_frame(self, stages: tuple[str, ...], condition: str) -> dict[str, Any]:
        """Return the beginning of a child pipeline, which inherits nothing from its parent.

        Without rules of its own GitLab would leave out every job in a merge request.
        """
        tags = {"default": {"tags": list(self.tags)}} if self.tags else {}
        return {"workflow": {"rules": [{"if": condition}]}, "stages": list(stages), **tags}


def render_review(plan: Plan, templates: Mapping[str, str], jobs: Jobs) -> str:
    """Return the child pipeline of a merge request: run and gate each planned model, then report.

    Models run beside each other. With nothing planned, or something refused, only the report is
    left, which says so.

    Raises:
        InputError: an input does not fit its template.
    """
    names = [] if plan.is_refused else [model.name for model in plan.planned]
    content = jobs.make_frame(REVIEW, "$CI_MERGE_REQUEST_ID")
    for name in names:
        for stage in ("run", "gate"):
            content |= _fill(templates, stage, {**jobs.inputs, "model": name})
    gates = [f"{jobs.prefix}-gate {name}" for name in names]
    content |= _fill(templates, "report", {**jobs.inputs, "gates": gates})
    return _dump(content)


def render_production(templates: Mapping[str, str], jobs: Jobs) -> str:
    """Return the child pipeline of the target branch: release what is not yet, then roll it out."""
    content = jobs.make_frame(PRODUCTION, '$CI_COMMIT_REF_PROTECTED == "true"')
    for stage in PRODUCTION:
        content |= _fill(templates, stage, jobs.inputs)
    return _dump(content)


def _fill(templates: Mapping[str, str], stage: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return fill_template(templates[stage], inputs, where=f"ci/{stage}.yml")


def fill_template(text: str, inputs: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return a template's jobs with its inputs in place, each checked against the template's `spec`.

    An input that is a whole value keeps its type; inside text it must be text.

    Raises:
        InputError: an input is unknown, missing, of another type, or not what the spec allows.
    """
    head, body = yaml.safe_load_all(text)
    spec = head["spec"]["inputs"]
    unknown = sorted(set(inputs) - set(spec))
    if unknown:
        raise InputError(f"there is no input {unknown[0]!r}", where=where)
    values = {name: _check(name, rule or {}, inputs, where) for name, rule in spec.items()}
    filled: dict[str, Any] = _put(body, values)
    return filled


def _check(name: str, rule: Mapping[str, Any], inputs: Mapping[str, Any], where: str) -> Any:
    """Return an input's value, or its default."""
    if name not in inputs and "default" not in rule:
        raise InputError(f"the input {name!r} is missing", where=where)
    value = inputs.get(name, rule.get("default"))
    kind = _TYPES[rule.get("type", "string")]
    pattern, options = rule.get("regex"), rule.get("options")
    fits = isinstance(value, kind)
    fits = fits and (pattern is None or re.fullmatch(pattern, value) is not None)
    if not fits or (options is not None and value not in options):
        wanted = pattern or options or rule.get("type", "string")
        raise InputError(f"the input {name!r} is {value!r}; it must be {wanted}", where=where)
    return value


def _put(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {_put(key, values): _put(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_put(item, values) for item in node]
    return _put_text(node, values) if isinstance(node, str) else node


def _put_text(text: str, values: Mapping[str, Any]) -> Any:
    if whole := _BLOCK.fullmatch(text):
        return values[whole[1]]
    return _BLOCK.sub(lambda block: str(values[block[1]]), text)


def _dump(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
    return "# Written by `gitops plan --child-pipeline`.\n" + text
