"""What looks like a secret by its own shape, or by the name or the place that it stands at.

Every rule starts with words that the text must hold before its expression is tried: most texts hold none of them.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from redrill.redaction.words import REDACTED

Replacement = str | Callable[[re.Match[str]], str]


class Rule(NamedTuple):
    """An expression with its replacement, and the words (in lower case) without one of which it cannot match."""

    words: tuple[str, ...]
    expression: re.Pattern[str]
    replacement: Replacement


_NAME = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|token|secret(?:[_.-]?(?:access[_.-]?)?key(?:[_.-]?base)?)?|credentials?"
    r"|(?:api|access|private|auth|encryption|signing)[_.-]?key)\d*"
)
_NAME_WORDS = ("passw", "passphrase", "passcode", "pwd", "token", "secret", "credential", "key")
_NO_SECRET = r"(?!\[redacted\]|(?:true|false|null|none|yes|no)\b)"  # noqa: S105 - words that are none
_VALUE = (
    r"(?:[bfru]{0,2}(?P<quote>[\"'`])" + _NO_SECRET + r"(?:\\.|(?!(?P=quote))[^\\\n])+(?P=quote)"
    r"|[bfru]{0,2}(?P<escaped>\\+[\"'])" + _NO_SECRET + r"(?:(?!(?P=escaped))[^\n])+(?P=escaped)"
    r"|(?P<open>\\*[\"'`]?)" + _NO_SECRET + r"(?:\\[^\s\"'`nrt]|[^\s\"'`\\])+)"
)
_ANNOTATED = r":[ \t]?(?-i:str|bytes|Any|[A-Z])[\w.\[\]|]{0,30}[ \t]{0,40}=[ \t]{0,40}"
# Atomic, for a shorter separator would take the rest of a longer one, or its placeholder, for the value.
_SEPARATOR = rf"(?>{_ANNOTATED}|(?:\\*[\"'`])?\]?[ \t]{{0,40}}(?::=|=>|[=!]=|=|:(?![:/]))[ \t]{{0,40}})"
_ASSIGNMENT = re.compile(rf"(?P<name>{_NAME})(?P<separator>{_SEPARATOR})(?P<value>{_VALUE})", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[\w.@+~-]*")


def _hide_assigned(match: re.Match[str]) -> str:
    """Hide the value of an assignment, unless it is a path that ends like a secret's name, or a lone 'passwd'."""
    name, separator = match["name"], match["separator"]
    before = match.string[max(0, match.start() - 256) : match.start()]
    start = len(before) - _length_before(before, _IDENTIFIER)
    lead, prefix = before[:start], before[start:]
    is_colon = ":" in separator and "=" not in separator
    is_path = is_colon and lead.endswith("/")
    # 'passwd' is a package, a name service and a file far more often than a key; so is PWD in every environment.
    is_common = name.lower() in ("passwd", "pwd") and not prefix.endswith("_")
    is_common = is_common and (is_colon or (name.lower() == "pwd" and prefix.lower() in ("", "old")))
    if is_path or is_common:
        return name + separator + _ASSIGNMENT.sub(_hide_assigned, match["value"])
    return name + separator + _hidden(match)


def _length_before(text: str, letters: re.Pattern[str]) -> int:
    """Return how many letters the text ends with; backwards, for a search would try every start."""
    found = letters.match(text[::-1])
    return found.end() if found else 0


def _hidden(match: re.Match[str]) -> str:
    """Return the placeholder in the quotes that the value had."""
    quote = match["quote"] or match["escaped"]
    return f"{quote}{REDACTED}{quote}" if quote else f"{match['open']}{REDACTED}"


def _hide_after(match: re.Match[str]) -> str:
    return f"{match['lead']}{_hidden(match)}"


def _rule(words: str, expression: str, replacement: Replacement = REDACTED, flags: int = 0) -> Rule:
    return Rule(tuple(words.split()), re.compile(expression, flags), replacement)


_KEEP_LEAD = rf"\g<lead>{REDACTED}"
_OPEN = r"(?<![A-Za-z0-9_])"
_TOKENS = (
    r"gh[opsur]_[A-Za-z0-9]{12,}",
    r"github_pat_\w{12,}",
    r"gl(?:pat|ptt|rt|dt|soat|cbt|agent|ft|imt|oas)-[\w.-]{12,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{12,}",
    r"xox[a-z]-[\w-]{8,}",
    r"sk[-_](?:proj|ant|live|test)[-_][\w-]{12,}",
    r"AIza[\w-]{30,}",
    r"hv[sbr]\.[\w-]{16,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[\w-]{24,}",
    r"dckr_pat_[\w-]{16,}",
)
_STARTS = (
    "gho_ ghp_ ghs_ ghu_ ghr_ github_pat_ glpat glptt glrt gldt glsoat glcbt glagent glft glimt gloas "
    "akia asia xox sk- sk_ aiza hvs. hvb. hvr. npm_ pypi- dckr_pat_"
)

RULES = (
    _rule("age-secret-key", r"AGE-SECRET-KEY-[A-Z0-9-]{8,}", flags=re.IGNORECASE),
    # crypt(3): $id$salt$hash, with parameters between in some; the id alone is also $1 of a shell script.
    _rule(
        "$1$ $2 $5$ $6$ $7$ $y$ $gy$ $sha $apr1 $argon2 $scrypt $pbkdf2",
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|apr1|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*)"
        r"(?:\$[./A-Za-z0-9=,+-]{1,128}){1,4}\$?[./A-Za-z0-9=+]{8,}",
    ),
    # user:hash:days:min:max:… with the old thirteen characters, or a locked hash
    _rule(
        ":",
        r"(?P<lead>(?<![\w.:/-])[a-z_][a-z0-9_.-]{0,31}:)(?=[^:\s]{0,256}[A-Za-z0-9])!{0,2}[^\s:\"'\\*]{12,256}"
        r"(?=:\d*:\d*:\d*:)",
        _KEEP_LEAD,
    ),
    _rule(_STARTS, _OPEN + f"(?:{'|'.join(_TOKENS)})"),
    _rule(
        "authorization cookie x-api-key x-auth-token x-vault-token private-token",
        r"(?P<lead>\b(?:(?:proxy-)?authorization|x-api-key|x-auth-token|x-vault-token|private-token|(?:set-)?cookie)"
        r"\\*[\"']?[ \t]*[:=](?>[ \t]*(?:[bfru]?\\*[\"'])?))(?!\[redacted\])[^\r\n\"'\\]+",
        _KEEP_LEAD,
        re.IGNORECASE,
    ),
    # A word in lower case alone is prose: 'the bearer authentication'.
    _rule(
        "bearer", r"(?P<lead>\b[Bb](?i:earer)[ \t]+)(?!\[redacted\]|[a-z]+\b(?![.~+/=_-]))[\w.~+/=-]{8,}", _KEEP_LEAD
    ),
    _rule("://", r"(?P<lead>://[^\s/:@\"'<>\\]{0,128}:)[^\s\"'<>/\\]{1,512}(?=@)", _KEEP_LEAD),
    _rule(
        "-u --user --proxy-user",
        r"(?P<lead>(?<![\w-])(?:-u|--user|--proxy-user)[ =][\"']?[^\s:\"'=]{1,64}:)(?!\[redacted\]|\d+\b)[^\s\"'\\]+",
        _KEEP_LEAD,
    ),
    _rule("sshpass", rf"(?P<lead>\bsshpass[ \t]+-p[ \t]*){_VALUE}", _hide_after),
    _rule("login", rf"(?P<lead>\blogin\s+\S+\s+password[ \t]+){_VALUE}", _hide_after),
    _rule("</", rf"(?P<lead><[\w:-]{{0,64}}?{_NAME}>)(?!\[redacted\])[^<]+(?=</)", _KEEP_LEAD, re.IGNORECASE),
    _rule(
        "--",
        rf"(?P<lead>(?<![\w-])--(?:\w{{1,32}}-){{0,4}}{_NAME}(?:[ \t]+|\\*[\"'],?[ \t]+(?=\\*[\"']))){_VALUE}",
        _hide_after,
        re.IGNORECASE,
    ),
    Rule(_NAME_WORDS, _ASSIGNMENT, _hide_assigned),
)


_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*)*")
_JWT_LETTERS = re.compile(r"[\w.-]*")


def _without_jwt(text: str) -> str:
    """Take out JSON Web Tokens, also what is left of one that was cut in the middle: '…bG8ifQ.eyJuIjoxfQ.c2ln'."""
    parts, end = [], 0
    for match in _JWT.finditer(text):
        start = match.start() - _length_before(text[max(end, match.start() - 2048) : match.start()], _JWT_LETTERS)
        parts += [text[end:start], REDACTED]
        end = match.end()
    return "".join([*parts, text[end:]])


def redact_patterns(text: str) -> str:
    """Return ``text`` without what looks like a secret."""
    if "eyJ" in text:
        text = _without_jwt(text)
    lower = text.lower()
    for rule in RULES:
        if any(word in lower for word in rule.words):
            text = rule.expression.sub(rule.replacement, text)
    return text
