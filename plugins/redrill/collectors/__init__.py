"""Backends that read what arrived at a log sink."""
