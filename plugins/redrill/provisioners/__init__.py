"""Backends that destroy and rebuild endpoints."""
