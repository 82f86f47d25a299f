"""What may change by itself between a verified restore and a settled endpoint: short, and each entry has a reason."""

from redrill.model.canary import HIDDEN_FOLDER
from redrill.model.globs import compile_glob
from redrill.model.manifest import ATTRIBUTES, ChurnRule

_CONTENT = "size,mtime_ns,sha256"
_GROUPS = {"content": frozenset(_CONTENT.split(",")), "mtime": frozenset({"mtime_ns"})}
_WORDS = frozenset({*ATTRIBUTES, "missing", "unexpected"})

DEFAULT_CHURN = (
    "/var/log/journal/**",  # journald opens, rotates and archives its files at every boot
    "/var/log/*tmp content",  # wtmp and btmp grow with every boot and login
    "/var/log/lastlog content",
    "/var/log/** content",  # a log that is written to is alive; one that vanished is not covered
    "/var/tmp mtime",
    "/var/tmp/systemd-private-*",  # private directories carry the boot id in their name
    "/var/tmp/systemd-private-*/**",
    "/var/lib/systemd mtime",
    "/var/lib/systemd/random-seed",  # must be new at every boot
    "/var/lib/systemd/timers/**",
    "/var/lib/systemd/journal-upload/** content",  # the cursor moves with every message
    "/var/lib/systemd/journal-upload mtime",
    "/var/lib/private/systemd/journal-upload/** content",
    "/var/lib/private/systemd/journal-upload mtime",
    "/var/log mtime",
    f"/**/{HIDDEN_FOLDER} mtime",  # redrill's own writers go on until the wipe
    f"/**/{HIDDEN_FOLDER}/**",
)
"""Measured on freshly restored and rebooted systems; /etc is not in the list because nothing in it changed."""


def parse_churn(text: str) -> ChurnRule:
    """Return the rule for 'GLOB [ATTRIBUTE,…]'.

    ``*`` matches within one name, ``**`` any depth; attributes are those of a manifest entry, 'missing',
    'unexpected', or the groups 'content' and 'mtime'. Raises ValueError for anything else.
    """
    glob, _, words = text.strip().partition(" ")
    names = {name.strip() for name in words.split(",") if name.strip()}
    attributes = frozenset().union(*(_GROUPS.get(name, {name}) for name in names))
    if not glob.startswith("/") or not attributes <= _WORDS:
        raise ValueError(f"{text!r} is not a churn rule; write 'GLOB' or 'GLOB attribute,attribute'")
    return ChurnRule(compile_glob(glob), attributes)


def churn_rules(extra: tuple[str, ...]) -> list[ChurnRule]:
    """Return the built-in rules and those of an endpoint."""
    return [parse_churn(text) for text in DEFAULT_CHURN + extra]


_LIVE_CHURN = ("/var/log/btmp content",)
"""What strangers change in the state paths of a reachable system by failing to log in; nothing else was measured."""


def restore_churn(restored: str | None) -> list[ChurnRule]:
    """Return what may differ right after a restore: nothing offline, failed logins when live."""
    return [parse_churn(text) for text in _LIVE_CHURN] if restored == "live" else []
