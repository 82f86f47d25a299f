"""Secrets kept out of everything that leaves the process; importable by every layer."""

from redrill.redaction.paths import is_sensitive
from redrill.redaction.redactor import redact, redact_known, redact_named, redact_value, register
from redrill.redaction.words import REDACTED

__all__ = ["REDACTED", "is_sensitive", "redact", "redact_known", "redact_named", "redact_value", "register"]
