"""What a step's code asks of Kubernetes and what gitops.yaml grants it come in; what its pod gets goes out.

Code of a merge request may say where its pod is scheduled and how long it may take. What reaches a
secret, a volume, a host or another identity comes from the target branch's gitops.yaml, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops.compiled import WHERE, checked
from gitops.engines import StepPlacement, StepSecret, Toleration
from gitops.errors import InputError

Body = dict[str, Any]

_ALLOWED = {
    *("nodeSelector", "tolerations", "secretAsEnv"),
    *("imagePullPolicy", "activeDeadlineSeconds"),
}
_PULL = ("Always", "IfNotPresent", "Never")
_REASONS = {
    "podMetadata": "admission hooks (Kubeflow's PodDefault, Vault) mount secrets by label and annotation",
}


def make_attachment(step: str, asked: Any, placement: StepPlacement) -> Body:
    """Return the `KubernetesExecutorConfig` of one step, as kfp-kubernetes writes it; may be empty.

    Raises InputError, naming the step and what its code asks for, unless that is harmless or is
    exactly what the placement grants.
    """
    where = f"step {step!r}"
    own = _check_asked(step, asked, placement)
    labels = {**_plain_map(own.get("nodeSelector", {}), where), **dict(placement.node_selector)}
    tolerations = [
        *(_check_toleration(each, where) for each in own.get("tolerations", [])),
        *map(render_toleration, placement.tolerations),
    ]
    attachment = {
        "nodeSelector": {"labels": labels} if labels else {},
        "tolerations": [each for i, each in enumerate(tolerations) if each not in tolerations[:i]],
        "secretAsEnv": list(map(render_secret, placement.secrets)),
        "imagePullPolicy": own.get("imagePullPolicy"),
        "activeDeadlineSeconds": own.get("activeDeadlineSeconds"),
    }
    return {key: value for key, value in attachment.items() if value}


def render_secret(secret: StepSecret) -> Body:
    """Return a `SecretAsEnv`, as `kubernetes.use_secret_as_env` writes it."""
    return {
        "keyToEnv": [{"envVar": name, "secretKey": key} for key, name in sorted(secret.variables)],
        "optional": False,
        "secretName": secret.name,
        "secretNameParameter": {"runtimeValue": {"constant": secret.name}},
    }


def render_toleration(toleration: Toleration) -> Body:
    """Return a `Toleration`, as `kubernetes.add_toleration` writes it: what is empty is left out."""
    body = {
        "key": toleration.key,
        "operator": toleration.operator,
        "value": toleration.value,
        "effect": toleration.effect,
    }
    return {key: value for key, value in body.items() if value}


def _check_asked(step: str, asked: Any, placement: StepPlacement) -> Body:
    body = checked(asked, f"step {step!r}")
    for key in sorted(set(body) - _ALLOWED):
        raise _refuse(step, f"asks Kubernetes for {key[:60]!r}", _REASONS.get(key, ""))
    for secret in _as_list(body.get("secretAsEnv", []), step):
        _check_secret(step, checked(secret, f"step {step!r}"), placement)
    if body.get("imagePullPolicy", "Always") not in _PULL:
        raise _refuse(step, "has an unknown imagePullPolicy")
    if not str(body.get("activeDeadlineSeconds", "1")).isdecimal():
        raise _refuse(step, "has a deadline that is no number of seconds")
    _as_list(body.get("tolerations", []), step)
    return body


def _check_secret(step: str, secret: Body, placement: StepPlacement) -> None:
    granted = (_comparable(render_secret(each)) for each in placement.secrets)
    if _comparable(secret) not in granted:
        name = str(secret.get("secretName") or secret.get("secretNameParameter"))
        raise _refuse(step, f"asks for the secret {name[:80]!r}, which it is not granted so")


def _comparable(secret: Mapping[str, Any]) -> Body:
    """Bring a `SecretAsEnv` to one form: the order of its keys has no meaning, absent is not optional."""
    keys = secret.get("keyToEnv")
    ordered = sorted(keys, key=repr) if isinstance(keys, list) else keys
    return {**secret, "optional": secret.get("optional", False), "keyToEnv": ordered}


def _plain_map(value: Any, where: str) -> dict[str, str]:
    labels = checked(checked(value, where, {"labels"}).get("labels", {}), where)
    if not all(isinstance(each, str) for each in labels.values()):
        raise InputError(f"{where}: a node's label is not text", where=WHERE)
    return labels


def _check_toleration(value: Any, where: str) -> Body:
    keys = {"key", "operator", "value", "effect", "tolerationSeconds"}
    body = checked(value, f"{where}: toleration", keys)
    if not all(isinstance(each, str | int) for each in body.values()):
        raise InputError(f"{where}: a toleration is not made of text", where=WHERE)
    return body


def _as_list(value: Any, step: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse(step, "has something attached that is not a list")
    return value


def _refuse(step: str, what: str, reason: str = "") -> InputError:
    hint = (
        f"grant it under run.steps.{step} in the target branch's gitops.yaml, if it can be granted"
    )
    return InputError(f"step {step!r} {what}", where=WHERE, hint=f"{reason}; {hint}".lstrip("; "))
