"""A secret that is known never leaves, however it is written; redacting is done once."""

import base64
import html
import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from redrill.redaction import REDACTED, redact, redact_value
from redrill.redaction.known import FRAGMENT, KnownSecrets

SECRETS = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Cs")), min_size=8, max_size=60)
    .map(str.strip)
    .filter(lambda value: len(value) >= 8 and len(set(value)) > 3 and value not in REDACTED)
)
AROUND = st.text(st.sampled_from("ab =:/\"'\\\n,{}[]x1"), max_size=30)

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json-unescaped": lambda value: json.dumps(value, ensure_ascii=False),
    "repr": repr,
    "ascii": ascii,
    "bytes-repr": lambda value: repr(value.encode()),
    "repr-in-json": lambda value: json.dumps(repr(value)),
    "shell": shlex.quote,
    "shell-backslashes": lambda value: re.sub(r"([^\w@%+=:,./-])", r"\\\1", value),
    "url": lambda value: quote(value, safe=""),
    "url-path": quote,
    "url-form": quote_plus,
    "html": html.escape,
    "hex": lambda value: value.encode().hex(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64-url": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@given(value=SECRETS, before=AROUND, after=AROUND)
def test_a_known_secret_never_survives(form: str, value: str, before: str, after: str) -> None:
    known = KnownSecrets()
    known.add(value)
    written = FORMS[form](value).strip("\"'")
    redacted = known.redact(f"{before}{FORMS[form](value)}{after}")
    assert written not in redacted
    assert value not in redacted


@given(user=st.text("abcdefg", max_size=5), value=SECRETS)
def test_a_known_secret_does_not_survive_among_others_in_base64(user: str, value: str) -> None:
    known = KnownSecrets()
    known.add(value)
    header = base64.b64encode(f"{user}:{value}".encode()).decode()
    redacted = known.redact(f"Basic {header}")
    kept = max(map(len, re.split(re.escape(REDACTED), redacted.removeprefix("Basic "))))
    # What is left is the user, and at the ends letters that hold bits of what is beside the secret.
    assert kept <= len(user) * 2 + 8


@given(value=SECRETS.filter(lambda value: len(value) >= FRAGMENT), data=st.data(), before=AROUND, after=AROUND)
def test_no_fragment_of_a_known_secret_survives(value: str, data: st.DataObject, before: str, after: str) -> None:
    known = KnownSecrets()
    known.add(value)
    start = data.draw(st.integers(0, len(value) - FRAGMENT))
    fragment = value[start : start + FRAGMENT]
    assume(fragment not in REDACTED)
    assert fragment not in known.redact(before + fragment + after)


@given(text=st.text(max_size=400) | st.lists(st.sampled_from([
    *("password", "=", ": ", "'", '"', "\\", "token", "\n", "abc", "[redacted]", "://u:", "@h", "Bearer ", " ", "--"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "$6$ab$", "0123456789ab", ":", "Authorization", "_"),
    *("AGE-SECRET-KEY-1", "eyJhbGciOi.", "root:", "{", "}", "A" * 64, "aB3" * 20 + "aB3x", "str", "passwd", "/x/"),
]), max_size=24).map("".join))  # fmt: skip
def test_redacting_twice_changes_nothing_more_and_keeps_the_lines(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    assert once.count("\n") == text.count("\n")


@given(st.recursive(st.none() | st.integers() | st.text("abc =:'\"p\\", max_size=20), st.lists))
def test_a_redacted_value_has_the_shape_that_it_had(value: object) -> None:
    redacted = redact_value({"password": value})
    assert _shape(redacted) == _shape({"password": value})


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else type(value)
