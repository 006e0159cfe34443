"""An InferenceService comes in; StatusError where KServe's schema or its webhook refuses it."""

from __future__ import annotations

from typing import Any

from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.objects import SERVICES, Place, StatusError

MODE = "serving.kserve.io/deploymentMode"
_MODES = {
    "Serverless": "Serverless",
    "Knative": "Serverless",
    "Standard": "Standard",
    "RawDeployment": "Standard",
}


def read_mode(service: Body) -> str:
    """Return Serverless or Standard; StatusError for another word."""
    word = (service["metadata"].get("annotations") or {}).get(MODE, "Serverless")
    if word not in _MODES:
        raise _denied(f"invalid deployment mode {word!r}")
    return _MODES[word]


def validate(place: Place, old: Body | None, new: Body) -> None:
    """Check what is about to be stored; only InferenceServices have rules here."""
    if (place.group, place.plural) != (SERVICES.group, SERVICES.plural):
        return
    predictor = new.get("spec", {}).get("predictor")
    if not isinstance(predictor, dict) or not predictor:
        raise _invalid("spec.predictor: Required value")
    mode = read_mode(new)
    if old is not None and read_mode(old) != mode:
        raise _denied(f"update rejected: deploymentMode cannot be changed to {mode}")
    if "canaryTrafficPercent" in predictor:
        _check_percent("spec.predictor.canaryTrafficPercent", predictor["canaryTrafficPercent"])
    if new["spec"].get("canary"):
        _check_canaries(mode, predictor, new["spec"]["canary"])


def _check_canaries(mode: str, predictor: Body, canaries: list[Body]) -> None:
    if mode != "Standard":
        raise _denied("canary is only supported in Standard deployment mode")
    if "canaryTrafficPercent" in predictor:
        raise _denied("canary and canaryTrafficPercent cannot be used together")
    for index, canary in enumerate(canaries):
        _check_percent(f"spec.canary[{index}].trafficPercent", canary.get("trafficPercent"))
        if not canary.get("predictor", {}).get("name"):
            raise _denied(f"canary[{index}].predictor.name is required")
    names = [predictor.get("name", ""), *(canary["predictor"]["name"] for canary in canaries)]
    if len(set(names)) < len(names):
        raise _denied("canary names must be unique, and not the stable predictor's")
    if sum(canary["trafficPercent"] for canary in canaries) > 100:
        raise _denied("the sum of canary trafficPercent must not be over 100")


def _check_percent(where: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise _invalid(f"{where}: Invalid value: {value!r}: should be from 0 to 100")


def _denied(message: str) -> StatusError:
    # controller-runtime turns a validator's error into 403.
    hook = "inferenceservice.kserve-webhook-server.validator"
    return StatusError(
        403, "Forbidden", f'admission webhook "{hook}" denied the request: {message}'
    )


def _invalid(message: str) -> StatusError:
    return StatusError(422, "Invalid", message)
