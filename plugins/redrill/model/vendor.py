"""What the vendor of an endpoint's system says its files should be, whatever packaging system says it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, fields
from enum import StrEnum

from redrill.model.manifest import EntryKind


class DeviationKind(StrEnum):
    """How a file is not what the vendor says."""

    MODIFIED = "modified"
    MISSING = "missing"
    TYPE = "type changed"
    MODE = "mode changed"
    OWNER = "owner changed"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of one path: None (or '') is what the vendor does not say.

    ``owner`` is the package, bundle or deployment; ``user`` and ``group`` are names, or numbers in decimal; ``mode``
    holds the permission bits (07777). ``is_config`` may be edited, ``is_optional`` may be missing. ``has_digest``: the
    vendor knows the content, by ``sha256`` or by a digest that only the endpoint itself can compare.
    """

    owner: str
    kind: EntryKind | None = None
    has_digest: bool = False
    sha256: str | None = None
    mode: int | None = None
    user: str | None = None
    group: str | None = None
    target: str | None = None
    is_config: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Deviation:
    """One file that is not what the vendor says; ``owner`` is '' for what belongs to nobody."""

    path: str
    kind: DeviationKind
    detail: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Conffile:
    """A configuration file of a package: the digest of the vendor's text in hex (32 letters are MD5, 64 SHA-256).

    ``found`` is the digest of the same kind of what is there; None when nothing is, or when nobody looked.
    ``is_obsolete``: the installed version of the package has it no more. ``is_orphan``: the package itself is gone.
    """

    owner: str
    digest: str
    found: str | None = None
    is_obsolete: bool = False
    is_orphan: bool = False


@dataclass(frozen=True, slots=True)
class OracleState:
    """Whether an oracle answered; ``reason`` says why not. ``is_thorough``: it looked at contents, too."""

    is_known: bool
    reason: str = ""
    is_thorough: bool = False


@dataclass(frozen=True, slots=True)
class VendorFacts:
    """All that the oracles of one endpoint said.

    ``states`` are by oracle, ``paths`` by canonical path. ``aliases`` are directories that are links since the merge
    of /usr ('/lib': '/usr/lib'). ``deviations`` are what was found out on the endpoint itself. ``overrides`` are
    (user, group, mode) that the administrator has registered, ``links`` the targets that managed links such as
    alternatives may have, the preferred one first; '' is none. ``blind`` are globs of what no oracle ever looks at:
    nothing there is clean because nobody complained about it.
    """

    states: Mapping[str, OracleState] = field(default_factory=dict)
    paths: Mapping[str, Expected] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    conffiles: Mapping[str, Conffile] = field(default_factory=dict)
    overrides: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blind: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether at least one oracle answered, and none that should have answered did not."""
        return bool(self.states) and all(state.is_known for state in self.states.values())

    @property
    def why_unknown(self) -> str:
        """Why the oracles do not know, for people."""
        if not self.states:
            return "no packaging system that redrill knows was found"
        return "; ".join(f"{name}: {state.reason}" for name, state in self.states.items() if not state.is_known)

    @property
    def told(self) -> dict[str, str]:
        """What each oracle had to say, in words for the record."""
        return {
            name: (("contents too" if state.is_thorough else "owners only") if state.is_known else state.reason)
            for name, state in self.states.items()
        }

    def canonical(self, path: str) -> str:
        """Return a path as a file system with a merged /usr has it: '/lib/x' is '/usr/lib/x' where /lib is a link."""
        first = "/" + path[1:].partition("/")[0]
        return self.aliases[first] + path[len(first) :] if first in self.aliases else path

    def owner_of(self, path: str) -> str | None:
        """Return the package, bundle or deployment that a path belongs to; None when no oracle knows it: unowned."""
        expected = self.paths.get(self.canonical(path))
        return expected.owner if expected else None

    def dump(self) -> Iterator[str]:
        """Yield the facts as JSON lines: a header, then what is expected with all paths of which just that is."""
        header = {
            "schema": 1,
            "states": {name: astuple(state) for name, state in self.states.items()},
            "aliases": dict(self.aliases),
            "deviations": [astuple(deviation) for deviation in self.deviations],
            "conffiles": {path: astuple(conffile) for path, conffile in self.conffiles.items()},
            "overrides": dict(self.overrides),
            "links": dict(self.links),
            "blind": self.blind,
        }
        yield json.dumps(header)
        groups: dict[Expected, list[str]] = {}
        for path, expected in self.paths.items():
            groups.setdefault(expected, []).append(path)
        for expected, paths in groups.items():
            yield json.dumps([_trimmed(expected), paths])

    @classmethod
    def parse(cls, lines: Iterable[str]) -> "VendorFacts":
        """Return the facts that ``dump`` wrote; ValueError when they are none of schema 1."""
        iterator = iter(lines)
        header = json.loads(next(iterator, "{}"))
        if not isinstance(header, dict) or header.get("schema") != 1:
            raise ValueError(f"These are no vendor facts of schema 1: {str(header)[:80]!r}.")
        return cls(
            states={name: OracleState(*state) for name, state in header["states"].items()},
            paths={path: expected for line in iterator for path, expected in _parse_group(line)},
            aliases=header["aliases"],
            deviations=tuple(Deviation(d[0], DeviationKind(d[1]), d[2], d[3]) for d in header["deviations"]),
            conffiles={path: Conffile(*values) for path, values in header["conffiles"].items()},
            overrides={path: (user, group, mode) for path, (user, group, mode) in header["overrides"].items()},
            links={path: tuple(targets) for path, targets in header["links"].items()},
            blind=tuple(header["blind"]),
        )


_DEFAULTS = tuple(each.default for each in fields(Expected))


def _trimmed(expected: Expected) -> list[object]:
    """Return the values of an expectation without the defaults at its end: most paths have an owner only."""
    values = list(astuple(expected))
    while len(values) > 1 and values[-1] == _DEFAULTS[len(values) - 1]:
        values.pop()
    return values


def _parse_group(line: str) -> Iterator[tuple[str, Expected]]:
    values, paths = json.loads(line)
    if len(values) > 1 and values[1] is not None:
        values[1] = EntryKind(values[1])
    expected = Expected(*values)
    yield from ((path, expected) for path in paths)


def merge(answers: Iterable[VendorFacts]) -> VendorFacts:
    """Return what several oracles of one endpoint say together; of two that own a path, the first has it."""
    given = list(answers)
    return VendorFacts(
        states={name: state for each in given for name, state in each.states.items()},
        paths={path: found for each in reversed(given) for path, found in each.paths.items()},
        aliases={path: found for each in reversed(given) for path, found in each.aliases.items()},
        deviations=tuple(deviation for each in given for deviation in each.deviations),
        conffiles={path: found for each in reversed(given) for path, found in each.conffiles.items()},
        overrides={path: found for each in reversed(given) for path, found in each.overrides.items()},
        links={path: found for each in reversed(given) for path, found in each.links.items()},
        blind=tuple(pattern for each in given for pattern in each.blind),
    )
