"""What the evidence means: pure functions from records and manifests to findings."""
