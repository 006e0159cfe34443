"""A JSON value comes in; the digest that names its content goes out."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def make_digest(value: Any) -> str:
    """Return `sha256:` and the digest of a JSON value, independent of key order and layout."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
