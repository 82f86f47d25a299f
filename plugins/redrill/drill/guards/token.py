"""The allow token: the endpoint itself agrees, in a file that only its root can write, to be wiped until a date."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from redrill.drill.guards.live import MOST_TOKEN_BYTES, LiveFacts, TokenFile, normal
from redrill.drill.guards.state import GuardState, passes, refuses, unknown
from redrill.model.fleet import Endpoint, Fleet

NAME = "allow token"
_KEYS = ("fleet", "expires", "identity")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says: which fleet may wipe which host, until the end (UTC) of which day."""

    fleet: str
    expires: date
    identity: str


def parse_token(text: str) -> Token:
    """Return the token that a text of ``key: value`` lines holds; '#' starts a comment. ValueError when it is none."""
    if len(text) > MOST_TOKEN_BYTES:
        raise ValueError(f"it is longer than {MOST_TOKEN_BYTES} bytes")
    values: dict[str, str] = {}
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or key not in _KEYS or not value:
            raise ValueError(f"the line '{line[:80]}' is none of 'fleet: …', 'expires: …' and 'identity: …'")
        if key in values:
            raise ValueError(f"'{key}' is given twice")
        values[key] = value
    missing = [key for key in _KEYS if key not in values]
    if missing:
        raise ValueError(f"it lacks '{missing[0]}: …'")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", values["expires"]):
        raise ValueError(f"'{values['expires'][:40]}' is no date such as '2026-12-31'")
    return Token(values["fleet"], date.fromisoformat(values["expires"]), values["identity"])


def write_token(fleet: str, identity: str, until: date) -> str:
    """Return the text of a token."""
    return (
        "# redrill: drills of this fleet may wipe this host, and restore it, until the end of this day (UTC).\n"
        f"fleet: {fleet}\nexpires: {until.isoformat()}\nidentity: {identity}\n"
    )


def judge_token(
    fleet: Fleet, endpoint: Endpoint, facts: LiveFacts, now: datetime, owners: Sequence[int] = (0,)
) -> GuardState:
    """Judge the token that was read from the endpoint; ``owners`` are the users whose file it may be."""
    path = fleet.guards.allow_token.path
    advice = f"'redrill allow {fleet.source.name} {endpoint.name} --until DATE' prints what to write into it"
    if "token" in facts.unknown:
        return unknown(NAME, f"'{path}' cannot be read: {facts.unknown['token']}", endpoint.name)
    if facts.token is None:
        return refuses(NAME, f"the endpoint has no '{path}'; {advice}", endpoint.name)
    wrong = _wrong_file(facts.token, owners)
    if wrong:
        return refuses(NAME, f"'{path}' {wrong}", endpoint.name)
    try:
        token = parse_token(facts.token.text)
    except ValueError as error:
        return refuses(NAME, f"'{path}' is no token: {error}; {advice}", endpoint.name)
    wrong = _wrong_content(token, fleet, facts, now)
    if wrong:
        return refuses(NAME, f"'{path}' {wrong}; {advice}", endpoint.name)
    return passes(NAME, f"valid until {token.expires}", endpoint.name)


def _wrong_file(file: TokenFile, owners: Sequence[int]) -> str:
    if not file.sort.startswith("regular"):
        return f"is a {file.sort}, and must be a regular file"
    if file.owner not in owners or file.folder_owner not in owners:
        owner = file.owner if file.owner not in owners else file.folder_owner
        return f"or its folder belongs to user {owner}; both must belong to root"
    if file.mode & 0o022 or file.folder_mode & 0o022:
        return f"or its folder can be written by others (modes {file.mode:o}, {file.folder_mode:o}); chmod go-w both"
    return ""


def _wrong_content(token: Token, fleet: Fleet, facts: LiveFacts, now: datetime) -> str:
    if token.fleet != fleet.name:
        return f"is for the fleet '{token.fleet}'"
    if token.expires < now.astimezone(UTC).date():
        return f"expired on {token.expires}"
    if normal(token.identity) not in facts.identity.words:
        return "is for another host: its identity is not that of the one that answers"
    return ""
