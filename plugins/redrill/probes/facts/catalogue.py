"""Everything small that an observation holds, in the order of the batch."""

from collections.abc import Sequence

from redrill.probes.facts.accounts import ACCOUNT_FACTS
from redrill.probes.facts.certificates import CERTIFICATE_FACTS
from redrill.probes.facts.environment import ENVIRONMENT_FACTS
from redrill.probes.facts.fact import Fact
from redrill.probes.facts.identity import IDENTITY_FACTS
from redrill.probes.facts.kernel import KERNEL_FACTS
from redrill.probes.facts.network import NETWORK_FACTS
from redrill.probes.facts.open_files import OPEN_FILE_FACTS
from redrill.probes.facts.references import reference_fact
from redrill.probes.facts.system import SYSTEM_FACTS
from redrill.probes.facts.units import UNIT_FACTS
from redrill.probes.vendor.catalogue import VENDOR_FACTS

FACTS = (
    *SYSTEM_FACTS,
    *ACCOUNT_FACTS,
    *UNIT_FACTS,
    *NETWORK_FACTS,
    *KERNEL_FACTS,
    *ENVIRONMENT_FACTS,
    *CERTIFICATE_FACTS,
    *OPEN_FILE_FACTS,
    *IDENTITY_FACTS,
    *VENDOR_FACTS,
    reference_fact(),
)
"""All facts; they travel in one round trip."""


def facts_about(references: Sequence[str]) -> tuple[Fact, ...]:
    """Return all facts for an endpoint that declares where else its references to itself may be."""
    search = reference_fact(references)
    return (*(fact for fact in FACTS if fact.name != search.name), search)
