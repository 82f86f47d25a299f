"""What a plan says about how the backups of an endpoint are kept."""

from redrill.model.fleet import Endpoint


def encryption_state(endpoint: Endpoint) -> str:
    """Return how the backups of an endpoint are kept: a warning when they are not known to be encrypted at rest."""
    backend = endpoint.repository
    if backend and (backend.kind == "restic" or (backend.kind == "borg" and backend.settings.get("password"))):
        return f"encrypted by {backend.kind}"
    recipients = backend.settings.get("recipients") if backend else None
    if recipients:
        return f"encrypted with age for {len(recipients)} recipient{'s' if len(recipients) > 1 else ''}"
    return "WARNING: not encrypted at rest, give the repository 'recipients' (age1…) and an 'identity'"
