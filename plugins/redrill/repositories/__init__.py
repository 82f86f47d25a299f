"""Backends that keep backups."""
