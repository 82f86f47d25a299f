"""Small findings, waivers and rules for the tests of what is done with them."""

from datetime import date
from typing import Any

from redrill.model.finding import Finding, Severity
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.rules import IgnoreRule
from redrill.model.waivers import Waiver, Waivers

TODAY = date(2026, 11, 22)


def find(subject="/opt/leak", endpoint="web-1", **more: Any) -> Finding:
    values = {"promise": "leaks", "kind": "leak", "detail": "a file", "severity": Severity.MAJOR, "why": "it is lost"}
    return Finding(subject=subject, endpoint=endpoint, **{**values, **more})


def waive(*, expires=date(2026, 12, 31), **more: Any) -> Waiver:
    if not more.keys() & {"finding", "match"}:
        more["finding"] = find().id
    return Waiver(**{"owner": "ana", "reason": "next image", "ticket": "OPS-1", "expires": expires, **more})


def waivers_of(**waivers: Waiver) -> Waivers:
    return Waivers(waivers={name.replace("_", "-"): waiver for name, waiver in waivers.items()})


def rule(**meant: str) -> IgnoreRule:
    return IgnoreRule(reason="it is generated", **meant)


def fleet_of(**rules: tuple[IgnoreRule, ...]) -> Fleet:
    """Return a fleet of web-1 and web-2; ``rules`` are by name, with an underscore for the hyphen."""
    endpoints = tuple(Endpoint(name=name, ignore=rules.get(name.replace("-", "_"), ())) for name in ("web-1", "web-2"))
    return Fleet(name="shop", source="/fleets/shop/fleet.yml", endpoints=endpoints)
