"""A secret and a text come in; the text without the secret, however it was encoded, goes out."""

from __future__ import annotations

import base64
import logging
from urllib.parse import quote, quote_plus

SHOWN = "[redacted]"
_SHORTEST = 6


class Redactor(logging.Filter):
    """Takes secrets out of texts; as a filter, out of every record that passes a log handler."""

    def __init__(self, *secrets: str) -> None:
        super().__init__()
        self._forms = tuple(sorted({form for text in secrets for form in _forms(text)}, key=len))[
            ::-1
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._forms)} forms)"

    def redact(self, text: str) -> str:
        """Return the text with each form of each secret replaced."""
        for form in self._forms:
            text = text.replace(form, SHOWN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message, its arguments and its traceback; let every record pass."""
        record.msg, record.args = self.redact(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self.redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


def _forms(secret: str) -> set[str]:
    """Return the secret as it is, as in a URL, and as any slice of base64 would show it."""
    if len(secret) < _SHORTEST:
        return set()
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        *_base64(secret),
    }


def _base64(secret: str) -> set[str]:
    """Base64 shows a secret in three ways, by where it starts; the characters at the ends vary."""
    raw = secret.encode("utf-8")
    shown = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode("ascii").rstrip("=")
        core = encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        shown |= {core, core.replace("+", "-").replace("/", "_")}
    return shown
