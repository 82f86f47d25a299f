"""Certificates that no client accepts any more, or will not in a fortnight."""

from collections import Counter
from datetime import datetime, timedelta

from redrill.analysis.drift import Drift, fact_of
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.observation import Certificate

PROMISE = "certificates"
NOTICE = timedelta(days=14)
"""How long before its end a certificate is told: time to get another one, and for a person to be back at work."""

_BUNDLE = 10
"""A file of so many certificates is a list of whom to trust, and of those a few are always past."""


def find_ending(drift: Drift) -> list[Finding]:
    """Return the certificates that had expired, or would within the notice, when the endpoint was last observed."""
    fact_of(drift.latest, "certificates")
    certificates = drift.latest.certificates
    if certificates is None:
        raise UnknownFactError(f"The certificates of '{drift.endpoint.name}' were not observed; observe it again.")
    sizes = Counter(path.partition("#")[0] for path in certificates)
    findings = []
    for path, certificate in certificates.items():
        grade = _grade(certificate, drift.latest.taken_at, is_bundle=sizes[path.partition("#")[0]] >= _BUNDLE)
        if grade:
            kind, severity, why = grade
            findings.append(
                Finding(
                    promise=PROMISE,
                    kind=kind,
                    endpoint=drift.endpoint.name,
                    subject=path,
                    detail=f"{certificate.subject}, until {certificate.not_after or 'nobody knows when'}",
                    severity=severity,
                    why=why,
                    group=kind,
                    facts={"issuer": certificate.issuer, "sha256": certificate.sha256[:16]},
                )
            )
    return findings


def _grade(certificate: Certificate, now: datetime, *, is_bundle: bool) -> tuple[str, Severity, str] | None:
    if certificate.not_after is None:
        return "not understood", Severity.NOTE, "nobody can tell when it ends"
    if certificate.not_after > now + NOTICE:
        return None
    kind = "expired" if certificate.not_after <= now else "expires soon"
    if is_bundle:
        return kind, Severity.NOTE, "it is one of many in a list of whom to trust"
    if kind == "expired":
        return kind, Severity.CRITICAL, "whoever checks it refuses, and a redeploy brings back the same one"
    return kind, Severity.MAJOR, f"in less than {NOTICE.days} days whoever checks it refuses"
