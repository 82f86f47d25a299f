"""The ledger: what drills have measured, kept for later ones to be compared with."""
