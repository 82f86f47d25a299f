"""Certificates below /etc: the public part of every PEM file there, and never a key."""

import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from redrill.model.observation import Certificate
from redrill.probes.facts.fact import Fact

# Links in /etc/ssl/certs lead to the vendor's trust anchors, and certbot's 'archive' holds what has been replaced.
# An awk ends at the first file that it cannot open, so only files that can be read are given to it.
_CERTIFICATES = r"""
cd "$ROOT/etc" || exit 1
show='
  FNR == 1 { inside = 0 }
  /^-----BEGIN CERTIFICATE-----/ { inside = 1; print "\036/etc/" substr(FILENAME, 3) }
  inside { print }
  /^-----END CERTIFICATE-----/ { inside = 0 }'
export show
read_all='for file; do shift; if [ -f "$file" ] && [ -r "$file" ]; then set -- "$@" "$file"; fi; done
  [ $# -eq 0 ] || exec awk "$show" "$@"'
find . \( -path ./ssl/certs -o -path '*/ca-trust/extracted' -o -path '*/letsencrypt/archive' \) -prune -o \
  \( -type f -o -type l \) \( -name '*.pem' -o -name '*.crt' -o -name '*.cer' -o -name '*.cert' \) \
  ! -name 'ca-bundle*' ! -name 'tls-ca-bundle*' -exec sh -c "$read_all" sh {} +
[ ! -d ./ssl/certs ] || find ./ssl/certs -type f ! -name ca-certificates.crt -exec sh -c "$read_all" sh {} +
"""


def _parse_certificates(text: str) -> dict[str, Any]:
    """Return the certificates by path; the second of a file and those after it have '#2' and so on."""
    found: dict[str, Certificate] = {}
    counts: dict[str, int] = {}
    for block in text.split("\x1e")[1:]:
        path, _, pem = block.partition("\n")
        counts[path] = counts.get(path, 0) + 1
        found[path if counts[path] == 1 else f"{path}#{counts[path]}"] = read_certificate(pem)
    return {"certificates": found}


def read_certificate(pem: str) -> Certificate:
    """Return what a certificate in PEM says; one that cannot be understood has no end and says why as its subject."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return Certificate(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_after=certificate.not_valid_after_utc,
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except ValueError as error:
        digest = hashlib.sha256(pem.encode("utf-8", "surrogateescape")).hexdigest()
        return Certificate(subject=f"not understood: {error}", issuer="", not_after=None, sha256=digest)


CERTIFICATE_FACTS = (Fact("certificates", _CERTIFICATES, _parse_certificates),)
"""Whom the endpoint can prove to be, and until when."""
