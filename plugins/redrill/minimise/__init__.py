"""Which parts of a backup, and which leaked paths, an endpoint needs to recover."""
