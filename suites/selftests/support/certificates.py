"""Certificates for tests: self-signed, with any end."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(name: str, end: datetime) -> str:
    """Return a certificate in PEM that was valid for the 90 days before ``end``."""
    subject, key = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(end - timedelta(days=90)).not_valid_after(end).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def make_server_certificate(*names: str) -> tuple[str, str]:
    """Return a certificate that is good for these names and addresses for 60 days, and its key, both in PEM."""
    subject, key = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]),
        ec.generate_private_key(ec.SECP256R1()),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=60))
    made, pem = builder.sign(key, hashes.SHA256()), serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), private.decode()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def write_server_certificate(folder: Path, name: str, address: str) -> tuple[Path, Path]:
    """Write a certificate in PEM that is good for a name and an address, and its key; return the two files."""
    files = folder / "server.crt", folder / "server.key"
    for file, text in zip(files, make_server_certificate(name, address), strict=True):
        file.write_text(text)
    return files
