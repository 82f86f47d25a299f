"""All oracles: their commands as facts of the batch, and what they say together."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from redrill.model.vendor import OracleState, VendorFacts, merge
from redrill.probes.facts.fact import Fact
from redrill.probes.vendor.dpkg import DpkgOracle
from redrill.probes.vendor.ostree import OstreeOracle
from redrill.probes.vendor.protocol import Answer, Oracle
from redrill.probes.vendor.rpm import RpmOracle
from redrill.probes.vendor.swupd import SwupdOracle

ORACLES: tuple[Oracle, ...] = (SwupdOracle(), DpkgOracle(), RpmOracle(), OstreeOracle())
"""In the order in which they are believed: of two that own a path, the first has it."""

_FAMILIES = {
    "swupd": {"clear-linux-os"},
    "dpkg": {"debian", "ubuntu"},
    "rpm": {"fedora", "rhel", "centos", "suse", "opensuse", "amzn", "mariner", "azurelinux"},
}
"""Which oracle a system must have, by the words of ID and ID_LIKE of its os-release."""


def _hold(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda text: {"vendor_answers": {name: text}}


VENDOR_FACTS = tuple(Fact(f"vendor {oracle.name}", oracle.question, _hold(oracle.name)) for oracle in ORACLES)
"""Who owns what; the answers are for ``hear_oracles``."""

CONTENT_FACTS = tuple(
    Fact(f"contents by {oracle.name}", oracle.check, _hold(f"{oracle.name} check"))
    for oracle in ORACLES
    if oracle.check
)
"""Whether contents are as the vendor says: asked where the record knows no image, which says it better and for less."""


def hear_oracles(values: dict[str, Any], root: Path | None) -> VendorFacts:
    """Return what all oracles said; one that must be there by os-release, or that failed, is known not to know.

    The answers are taken out of ``values``, which are the fields of an observation; ``root`` is the endpoint if it is
    a directory.
    """
    answers: dict[str, str] = values.pop("vendor_answers", {})
    release, unknown = values.get("os_release", {}), values["unknown"]
    heard = []
    for oracle in ORACLES:
        name = oracle.name
        if why := unknown.get(f"vendor {name}") or unknown.get(f"contents by {name}"):
            heard.append(_unheard(name, why))
        elif name in answers:
            answer = Answer(answers[name], answers.get(f"{name} check"), root)
            try:
                heard.append(oracle.hear(answer))
            except (ValueError, LookupError, OSError) as error:
                unknown[f"vendor {name}"] = str(error) or type(error).__name__
                heard.append(_unheard(name, unknown[f"vendor {name}"]))
        elif name in expected_oracles(release):
            heard.append(_unheard(name, f"os-release says '{release.get('ID', '')}', but there is no database of it"))
    return merge(heard)


def expected_oracles(os_release: Mapping[str, str]) -> set[str]:
    """Return the oracles that a system with this os-release must have."""
    words = {os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()}
    names = {name for name, family in _FAMILIES.items() if words & family}
    return names | ({"ostree"} if "OSTREE_VERSION" in os_release else set())


def _unheard(name: str, reason: str) -> VendorFacts:
    return VendorFacts(states={name: OracleState(is_known=False, reason=reason)})
