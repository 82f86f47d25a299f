"""Everything small that an observation holds, in the order of the batch."""

from redrill.probes.facts.system import SYSTEM_FACTS

FACTS = (*SYSTEM_FACTS,)
"""All facts; they travel in one round trip."""
