"""Private keys in PEM and OpenSSH form: whole, cut by a tool that shortens, or line by line in a diff."""

import re
from collections.abc import Iterator

from redrill.redaction.words import REDACTED, blot

_MARKER = re.compile(r"-----(BEGIN|END) (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST = 32_768
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_AFTER_BEGIN = re.compile(r"(?:(?:\s|\\+[nr]|[-+>|?^E\"',]){0,40}[A-Za-z0-9+/=]{12,})*")
_LINE_END = re.compile(r"\r?\n|\\+n")
_PIECE = re.compile(r"[ \t\"',E+>|?^-]{0,20}[A-Za-z0-9+/=]{16,128}[\"', \t]{0,4}")
_OPENSSH_BODY = re.compile(r"b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/=]*")
_LINE = re.compile(r"(?m)^[ \t]*(?:E[ \t]+)?[-+>|? \t]{0,8}[\"']?([A-Za-z0-9+/]{4,76}={0,2})(?:\\n)?[\"',]*[ \t\r]*$")
_FULL_LINES = frozenset({64, 70, 76})


def redact_key_blocks(text: str) -> str:
    """Return ``text`` without private keys."""
    if "PRIVATE KEY" in text:
        text = _without(text, list(_spans(text)))
    if "b3BlbnNzaC1rZXktdjE" in text:
        text = _OPENSSH_BODY.sub(REDACTED, text)
    return _without_body_lines(text)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where keys stand; one without an end, or without a beginning, counts as far as it looks like one."""
    begun: re.Match[str] | None = None
    covered = 0
    for marker in _MARKER.finditer(text):
        if begun and (marker[1] == "BEGIN" or marker.start() - begun.end() > _LONGEST):
            covered = _end_of_body(text, begun.end(), marker.start())
            yield begun.start(), covered
            begun = None
        if marker[1] == "BEGIN":
            begun = marker
        else:
            start = begun.start() if begun else _start_of_body(text, covered, marker.start())
            covered, begun = marker.end(), None
            yield start, covered
    if begun:
        yield begun.start(), _end_of_body(text, begun.end(), len(text))


def _end_of_body(text: str, low: int, high: int) -> int:
    match = _AFTER_BEGIN.match(text, low, min(high, low + _LONGEST))
    return match.end() if match else low


def _start_of_body(text: str, low: int, high: int) -> int:
    """Return where the base64 that ends at ``high`` begins: whole lines of it, and the end of the line before."""
    low = max(low, high - _LONGEST)
    ends = [low, *(match.end() for match in _LINE_END.finditer(text, low, high))]
    start, stop = ends.pop(), high
    if text[start:stop].strip(_BASE64 + " \t\"',E+>|?^-"):
        return start + len(text[start:stop].rstrip(_BASE64))
    while ends:
        start, stop = ends.pop(), start
        line = _LINE_END.sub("", text[start:stop])
        if not _PIECE.fullmatch(line):
            return start + len(line.rstrip(_BASE64))
    return start


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts, end = [], 0
    for start, stop in spans:
        parts += [text[end : max(start, end)], blot(text[max(start, end) : stop])]
        end = max(end, stop)
    return "".join([*parts, text[end:]])


def _without_body_lines(text: str) -> str:
    """Blot runs of lines that are base64 alone, when one of them is as long as the lines of a key are."""
    spans: list[tuple[int, int]] = []
    run: list[re.Match[str]] = []
    for match in _LINE.finditer(text):
        if run and text[run[-1].end() : match.start()].strip("\n"):
            spans += _body(run)
            run = []
        run.append(match)
    return _without(text, spans + _body(run))


def _body(run: list[re.Match[str]]) -> list[tuple[int, int]]:
    is_key = any(len(match[1]) in _FULL_LINES and _is_mixed(match[1]) for match in run)
    return [match.span(1) for match in run] if is_key else []


def _is_mixed(word: str) -> bool:
    return any(map(str.isupper, word)) and any(map(str.islower, word)) and any(map(str.isdigit, word))
