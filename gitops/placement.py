"""A compiled pipeline and gitops.yaml's `run` section come in; what is uploaded to the cluster goes out.

The compiled pipeline was made by a team's code, perhaps by a merge request's: it is data, and it gets
the image, the places and the secrets that the target branch's gitops.yaml grants, nothing it took itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gitops.attachment import make_attachment
from gitops.compiled import WHERE, CompiledPipeline, Task, checked, parse_compiled, spell
from gitops.embedding import repack_source
from gitops.engines import OWN_STEPS, Kubeflow, StepPlacement
from gitops.errors import InputError

Body = dict[str, Any]
_Input = tuple[str, str]  # a graph, empty for the root, and the name of one of its inputs

_REQUEST: _Input = ("", "request")

# Steps that judge and ship: an experiment has none of them.
_SHIPPING = ("judge", "release", "rollout", "produce")
_PINNED = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
# Kubernetes' suffixes, in KFP's units: cores, and gigabytes. Kubernetes knows no `K`.
_POWERS = {"M": 2, "G": 3, "T": 4}
_UNITS = {
    "cpu": {"": (1, 1), "m": (1, 1000)},
    "memory": {
        "": (1, 1000**3),
        **{unit: (1000**power, 1000**3) for unit, power in _POWERS.items()},
        **{f"{unit}i": (1024**power, 1000**3) for unit, power in {"K": 1, **_POWERS}.items()},
    },
}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")
_MAX_ARCHIVES = 20
# What KFP writes when only the number of retries is said.
_RETRIES = {"backoffDuration": "0s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPipeline:
    """A pipeline ready for upload.

    Attributes:
        content: YAML in one canonical form: the pipeline spec and, if there is one, the platform spec.
        digest: `sha256:` and the digest of the content.
        spec: the pipeline spec in the content.
        platform: the platform spec in it; None without one.
    """

    content: bytes
    digest: str
    spec: Body
    platform: Body | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStep:
    """What a genuine step of the toolkit executes; a step that only has its name is an imposter."""

    command: tuple[str, ...]
    args: tuple[str, ...]


def place_pipeline(
    content: bytes,
    kubeflow: Kubeflow,
    *,
    default_image: str,
    own_steps: Mapping[str, OwnStep],
    production: bool = False,
) -> PlacedPipeline:
    """Return a compiled pipeline with the image, places and secrets that gitops.yaml grants its steps.

    Equal sources give equal bytes, wherever and whenever they were compiled.

    Args:
        content: what the compiling process wrote; hostile.
        kubeflow: the `run` section of the target branch's gitops.yaml.
        default_image: placeholder that stands for `kubeflow.image` in a pipeline's code.
        own_steps: the toolkit's genuine steps by name; one that is missing is not genuine.
        production: whether the pipeline may judge, release and roll out.

    Raises:
        InputError: for a pipeline that takes what it is not granted, or that is not understood.
    """
    compiled = parse_compiled(content, pipeline_root=kubeflow.pipeline_root)
    _refuse_imposters(compiled, own_steps, default_image)
    _refuse_shipping(compiled, production=production)
    _refuse_forged_requests(compiled)
    _repack(compiled)
    placements = _find_placements(compiled, kubeflow)
    for label, container in compiled.containers.items():
        step = compiled.steps[label]
        container["image"] = _make_image(step, container.get("image"), kubeflow, default_image)
        _place_container(container, placements[label], step)
    for task in compiled.tasks:
        _place_task(task, compiled, kubeflow, production=production)
    return _make_placed(compiled.spec, _make_platform(compiled, placements, kubeflow.deadline))


def _find_placements(compiled: CompiledPipeline, kubeflow: Kubeflow) -> dict[str, StepPlacement]:
    return {label: _placement(step, kubeflow) for label, step in compiled.steps.items()}


def _placement(step: str, kubeflow: Kubeflow) -> StepPlacement:
    """Return the placement of a step, whose name KFP spells with hyphens."""
    found = [each for name, each in kubeflow.steps if spell(name) == step]
    if len(found) > 1:
        raise InputError(f"two placements are named like {step!r}", where="gitops.yaml")
    return found[0] if found else StepPlacement()


# What belongs to the toolkit.


def _refuse_imposters(
    compiled: CompiledPipeline, own_steps: Mapping[str, OwnStep], default_image: str
) -> None:
    """Refuse other code under the name, and so with the secrets, of one of the toolkit's steps."""
    for label, container in compiled.containers.items():
        step = compiled.steps[label]
        if step not in OWN_STEPS:
            continue
        if container.get("image") != default_image or not _is_genuine(
            container, own_steps.get(step)
        ):
            raise InputError(
                f"step {step!r} is not the toolkit's, but has the name of one that is",
                where=WHERE,
                hint=f"rename the function, or use gitops.steps.{step} as it is, without an environment",
            )
        if compiled.attached.get(label):
            raise InputError(
                f"step {step!r} is the toolkit's: code attaches nothing to it",
                where=WHERE,
                hint=f"place it under run.steps.{step} in gitops.yaml",
            )


def _is_genuine(container: Body, own: OwnStep | None) -> bool:
    return (
        own is not None
        and set(container) <= {"image", "command", "args", "resources"}
        and tuple(container.get("command", ())) == own.command
        and tuple(container.get("args", ())) == own.args
    )


def _refuse_shipping(compiled: CompiledPipeline, *, production: bool) -> None:
    shipping = sorted(set(compiled.steps.values()) & set(_SHIPPING))
    if shipping and not production:
        raise InputError(
            f"an experiment has the step {shipping[0]!r}",
            where=WHERE,
            hint="only a production pipeline of the target branch ships",
        )


def _refuse_forged_requests(compiled: CompiledPipeline) -> None:
    """Refuse a toolkit's step that is told of a repository or store other than the run's own.

    Its credentials go where the request says.
    """
    trusted = _trace_request(compiled)
    for task in compiled.tasks:
        step = compiled.step(task)
        if step in OWN_STEPS and _source(task, "request") not in trusted:
            raise InputError(
                f"step {step!r} takes a request that is not the run's own",
                where=WHERE,
                hint="hand the pipeline's own `request` on to it as it is",
            )


def _trace_request(compiled: CompiledPipeline) -> set[_Input]:
    """Return the inputs of graphs that can hold nothing but the run's own request.

    An input is doubted when one use of its graph leaves it out, makes it up, or takes it from an
    input that is doubted itself.
    """
    uses = [task for task in compiled.tasks if not compiled.step(task)]
    feeds: dict[_Input, list[_Input]] = defaultdict(list)
    given = Counter((task.component, name) for task in uses for name in _parameters(task))
    wanted = Counter(task.component for task in uses)
    doubted = [each for each, times in given.items() if times < wanted[each[0]]]
    for task in uses:
        for name in _parameters(task):
            source = _source(task, name)
            (feeds[source] if source else doubted).append((task.component, name))
    known = {_REQUEST, *given}
    doubted += [target for source in feeds if source not in known for target in feeds[source]]
    while doubted:
        each = doubted.pop()
        if each in known:
            known.remove(each)
            doubted += feeds[each]
    return known


def _source(task: Task, name: str) -> _Input | None:
    """Return the input that a task's parameter passes on unchanged; None when it does anything else."""
    source = _parameters(task).get(name)
    if not isinstance(source, dict) or set(source) != {"componentInputParameter"}:
        return None
    items = (task.body.get(key, {}) for key in ("parameterIterator", "artifactIterator"))
    if any(checked(item, f"task {task.name[:60]!r}").get("itemInput") == name for item in items):
        return None
    return task.pipeline, str(source["componentInputParameter"])


def _parameters(task: Task) -> Body:
    found: Body = task.body.get("inputs", {}).get("parameters", {})
    return found


# What each step gets.


def _repack(compiled: CompiledPipeline) -> None:
    seen: dict[str, str] = {}
    for label, container in compiled.containers.items():
        for key in ("command", "args"):
            if key in container:
                where = f"step {compiled.steps[label]!r}"
                container[key] = [_repack_once(word, where, seen) for word in container[key]]


def _repack_once(word: str, where: str, seen: dict[str, str]) -> str:
    """Repack a word; equal words cost nothing, and many unequal ones are refused: each may be large."""
    if "__KFP_EMBEDDED_ARCHIVE_B64" not in word:
        return word
    if word not in seen:
        if len(seen) >= _MAX_ARCHIVES:
            raise InputError(f"more than {_MAX_ARCHIVES} steps embed files", where=WHERE)
        seen[word] = repack_source(word, where)
    return seen[word]


def _make_image(step: str, image: Any, kubeflow: Kubeflow, default_image: str) -> str:
    if image == default_image:
        return kubeflow.image
    if not isinstance(image, str) or not _PINNED.fullmatch(image):
        raise InputError(
            f"step {step!r} runs in the image {str(image)[:200]!r}, which is not pinned",
            where=WHERE,
            hint="use gitops.steps.IMAGE, or name the image by digest: name@sha256:…",
        )
    return image


def _place_container(container: Body, placement: StepPlacement, step: str) -> None:
    amounts = {
        **container.get("resources", {}),
        **_bounds("cpu", placement.cpu, step),
        **_bounds("memory", placement.memory, step),
    }
    if placement.accelerator:
        amounts["accelerator"] = _accelerator(placement.accelerator, str(placement.accelerators))
    if amounts:
        container["resources"] = amounts


def _accelerator(kind: str, count: str) -> Body:
    return {"count": count, "resourceCount": count, "resourceType": kind, "type": kind}


def _bounds(kind: str, amount: str, step: str) -> Body:
    """Return limit and request, equal, in both spellings that KFP writes: its old number, its text."""
    if not amount:
        return {}
    found = _AMOUNT.fullmatch(amount)
    if found is None or found[2] not in _UNITS[kind]:
        raise InputError(f"{amount!r} is no amount", where=f"gitops.yaml: run.steps.{step}.{kind}")
    times, over = _UNITS[kind][found[2]]
    numbers = dict.fromkeys((f"{kind}Limit", f"{kind}Request"), float(found[1]) * times / over)
    spelled = f"resource{kind.capitalize()}"
    return {**numbers, f"{spelled}Limit": amount, f"{spelled}Request": amount}


def _place_task(
    task: Task, compiled: CompiledPipeline, kubeflow: Kubeflow, *, production: bool
) -> None:
    step = compiled.step(task)
    if not step:
        return
    if production or step in OWN_STEPS:
        # The toolkit's reach outside; the store, keyed by fingerprint, is their cache. Kubeflow's own
        # can be filled by whoever may start runs in the namespace: what ships takes nothing from it.
        task.body["cachingOptions"] = {}
    if retries := _placement(step, kubeflow).retries:
        task.body["retryPolicy"] = {**_RETRIES, "maxRetryCount": retries}


# What is uploaded.


def _make_platform(
    compiled: CompiledPipeline, placements: Mapping[str, StepPlacement], deadline: float
) -> Body | None:
    attachments = {
        label: make_attachment(step, compiled.attached.get(label, {}), placements[label])
        for label, step in compiled.steps.items()
    }
    executors = {label: _limit(body, deadline) for label, body in attachments.items()}
    kubernetes: Body = {"deploymentSpec": {"executors": executors}} if executors else {}
    if compiled.times:
        kubernetes["pipelineConfig"] = compiled.times
    return {"platforms": {"kubernetes": kubernetes}} if kubernetes else None


def _limit(attachment: Body, deadline: float) -> Body:
    """Let no pod outlive the run's deadline, also when the job that would end the run is lost."""
    asked = int(attachment.get("activeDeadlineSeconds", deadline))
    return {**attachment, "activeDeadlineSeconds": str(max(1, min(asked, int(deadline))))}


def _make_placed(spec: Body, platform: Body | None) -> PlacedPipeline:
    documents = [spec] if platform is None else [spec, platform]
    content = "---\n".join(map(_render, documents)).encode("utf-8")
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return PlacedPipeline(content=content, digest=digest, spec=spec, platform=platform)


def _render(document: Body) -> str:
    # The pure Python dumper, so that no C library's version shows.
    text: str = yaml.safe_dump(document, sort_keys=True, default_flow_style=False, width=1 << 40)
    return text
