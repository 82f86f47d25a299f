"""Values that are known to be secret, found in every form in which they could leave."""

import base64
import html
import json
import re
import shlex
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from redrill.redaction.words import REDACTED, blot

SHORTEST = 4
"""Values below this many characters are no secrets: nothing would be left of a report without them."""

FRAGMENT = 12
"""No part of a known secret that has this many characters survives, however a tool cut or wrapped it."""

_WHOLE_WORDS_BELOW = 8
_GRAM = 6
_PLACES_KEPT = 16

# The private half of a key holds the public one, in the same letters; host keys are evidence.
_PUBLIC_KEY = re.compile(
    r"((?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}|sk-[\w@.-]{1,64}) AAAA[A-Za-z0-9+/]+={0,2})"
)

Place = tuple[str, int]


class KnownSecrets:
    """A set of values that only grows; safe for many threads.

    Beside whole forms, fragments are found: every sixth place of a text is looked up in the index of all six-character
    pieces of all forms, and a hit is extended to both sides. So the cost does not grow with the number of secrets.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._whole: dict[str, str] = {}
        self._words: re.Pattern[str] | None = None
        self._places: dict[str, tuple[Place, ...]] = {}

    def add(self, value: str) -> None:
        """Take a value, and each line of one with several, as secret from now on."""
        with self._lock:
            if value in self._values:
                return
            self._values.add(value)
            lines = [line.strip() for line in value.splitlines()]
            kept = [value.strip(), *(line for line in lines if len(line) >= _WHOLE_WORDS_BELOW)]
            whole, places = dict(self._whole), dict(self._places)
            for form in dict.fromkeys(form for each in kept for form in forms_of(each)):
                _index(form, whole, places)
            short = sorted((form for form in whole if len(form) < _WHOLE_WORDS_BELOW), key=len, reverse=True)
            words = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, short))})(?![^\W_])") if short else None
            # Whole new objects, so that those who read need no lock.
            self._whole = dict(sorted(whole.items(), key=lambda item: -len(item[0])))
            self._places, self._words = places, words

    def redact(self, text: str) -> str:
        """Return ``text`` without any of the values; public keys stay."""
        if not self._whole or " AAAA" not in text:
            return self._redact(text)
        parts = _PUBLIC_KEY.split(text)
        return "".join(part if index % 2 else self._redact(part) for index, part in enumerate(parts))

    def _redact(self, text: str) -> str:
        for form, replacement in self._whole.items():
            if len(form) >= _WHOLE_WORDS_BELOW and form in text:
                text = text.replace(form, replacement)
        if self._words is not None:
            text = self._words.sub(REDACTED, text)
        return self._without_fragments(text) if self._places else text

    def _without_fragments(self, text: str) -> str:
        places, kept, end = self._places, [], 0
        for at in range(0, len(text) - _GRAM + 1, _GRAM):
            found = places.get(text[at : at + _GRAM])
            if found is None or at < end:
                continue
            start, stop = max((_extend(text, at, place) for place in found), key=lambda span: span[1] - span[0])
            if stop - start >= FRAGMENT and stop > end:
                kept += [text[end : max(start, end)], blot(text[max(start, end) : stop])]
                end = stop
        return "".join([*kept, text[end:]]) if kept else text


def _index(form: str, whole: dict[str, str], places: dict[str, tuple[Place, ...]]) -> None:
    if len(form) < SHORTEST or form in REDACTED:
        return
    whole[form] = blot(form)
    if len(form) < FRAGMENT:
        return
    for at in range(len(form) - _GRAM + 1):
        gram = form[at : at + _GRAM]
        known = places.get(gram, ())
        if len(known) < _PLACES_KEPT and gram not in REDACTED:
            places[gram] = (*known, (form, at))


def _extend(text: str, at: int, place: Place) -> tuple[int, int]:
    """Return the span around ``at`` in which the text equals the form around its place."""
    form, offset = place
    back = 0
    while at - back > 0 and offset - back > 0 and text[at - back - 1] == form[offset - back - 1]:
        back += 1
    ahead = _GRAM
    while at + ahead < len(text) and offset + ahead < len(form) and text[at + ahead] == form[offset + ahead]:
        ahead += 1
    return at - back, at + ahead


def forms_of(value: str) -> Iterator[str]:
    """Yield a value as it is, and escaped, quoted or encoded as tools do."""
    yield value
    data = value.encode("utf-8", "surrogatepass")
    for escaped in dict.fromkeys(_escaped(value)):
        yield escaped
        if escaped != value:
            yield json.dumps(escaped)[1:-1]
    yield repr(data)[2:-1]
    yield from _shell_forms(value)
    urls = (quote(data, safe=""), quote(data), quote_plus(data))
    yield from urls
    yield from (re.sub("%..", lambda match: match[0].lower(), url) for url in urls)
    yield from (html.escape(value), html.escape(value, quote=False))
    yield from (data.hex(), data.hex().upper())
    yield from _base64_forms(data)


def _escaped(value: str) -> Iterator[str]:
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield ascii(value)[1:-1]


def _shell_forms(value: str) -> Iterator[str]:
    yield shlex.quote(value).removeprefix("'").removesuffix("'")
    yield value.replace("'", "'\\''")
    yield re.sub(r"([^\w@%+=:,./\n-])", r"\\\1", value)


def _base64_forms(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of the bytes wherever they stand among others."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode("ascii").rstrip("=")
        first = -(-before * 8 // 6)
        # The last character may also hold bits of what follows.
        last = len(encoded) if (before + len(data)) % 3 == 0 else len(encoded) - 1
        core = encoded[first:last]
        if len(core) >= _WHOLE_WORDS_BELOW:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))
    yield base64.b64encode(data).decode("ascii")
    yield base64.urlsafe_b64encode(data).decode("ascii")
