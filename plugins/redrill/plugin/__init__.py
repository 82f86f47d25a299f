"""The only part that knows the hooks of pytest."""
