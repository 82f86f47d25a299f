"""Files that only their owner may read, from their first moment on, and that hold no secret."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from redrill.redaction import redact, redact_known, redact_value


def write_private(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8 to a file of mode 0600, whole or not at all and synced to disk; return it.

    Secrets are taken out: of JSON (``.json``) from each text in it, of JSON lines (``.jsonl``) known values only, of
    all else from the text as a whole.
    """
    text = _REDACTORS.get(path.suffix, redact)(text)
    return write_private_bytes(path, [text.encode("utf-8", "backslashreplace")])


def write_private_bytes(path: Path, chunks: Iterable[bytes]) -> Path:
    """Write what holds no secret to a file as ``write_private`` does, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        return temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _redact_json(text: str) -> str:
    """Return JSON in which no text holds a secret; it is laid out anew only when one did."""
    try:
        value = json.loads(text)
    except ValueError:
        return redact(text)
    redacted = redact_value(value)
    return text if redacted == value else json.dumps(redacted, indent=1) + "\n"


_REDACTORS = {".json": _redact_json, ".jsonl": redact_known}
