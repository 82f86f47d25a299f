"""The one redactor of the process."""

import re
from typing import Any

from redrill.redaction.key_blocks import redact_key_blocks
from redrill.redaction.known import SHORTEST, KnownSecrets
from redrill.redaction.patterns import redact_patterns
from redrill.redaction.words import REDACTED

_MOST_PASSES = 6
_COLOUR = re.compile(r"(?:\x1b|\\+x1b|\\+u001b|#x1B)\[[0-9;]*m")
_PROBE = "x1"
_NOTHING = ("", "None", "True", "False", "''", '""')
_KNOWN = KnownSecrets()


def register(value: str) -> None:
    """Take a value as secret from now on; one below four characters cannot be hidden and is ignored."""
    if len(value.strip()) >= SHORTEST:
        _KNOWN.add(value)


def redact(text: str) -> str:
    """Return ``text`` with a placeholder for every secret: known values in any form, and what looks like one.

    The number of lines stays the same. Redacting twice changes nothing more. Never raises: a text that cannot be
    looked through is not let out.
    """
    try:
        for _ in range(_MOST_PASSES):
            done = _redact_once(text)
            if done == text:
                break
            text = done
    except Exception:  # noqa: BLE001 - whoever reports an error must not meet another one, nor a secret
        return REDACTED
    return text


def _redact_once(text: str) -> str:
    if "[" in text and _COLOUR.search(text):
        plain = _COLOUR.sub("", text)
        # Codes stand between a name and its value; a text that holds a secret loses its colours.
        return text if _redact_plain(plain) == plain else _redact_plain(plain)
    return _redact_plain(text)


def _redact_plain(text: str) -> str:
    return redact_patterns(redact_key_blocks(_KNOWN.redact(text)))


def redact_named(name: str, value: str) -> str:
    """Return a value that has a name, such as a parameter: hidden as a whole when its name says that it is secret."""
    is_secret = redact_patterns(f"{name}={_PROBE}") != f"{name}={_PROBE}"
    return REDACTED if is_secret and value not in _NOTHING else redact(value)


def redact_known(text: str) -> str:
    """Return ``text`` without registered values only: for evidence in which hashes and names must stay as they are."""
    return _KNOWN.redact(text)


def redact_value(value: Any) -> Any:
    """Return a copy of what JSON can hold with every text in it redacted by itself; keys lose known secrets only."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact_known(key) if isinstance(key, str) else key: redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value
