"""Values: fleets, manifests, observations, records and verdicts; no I/O."""
