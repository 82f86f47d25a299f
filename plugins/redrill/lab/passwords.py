"""Secrets of a lab's applications: those that are to be in files are made, and Day-1 scripts are given all."""

import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path

from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint
from redrill.model.secret import SecretValue, secrets_in
from redrill.private import write_private_bytes
from redrill.secrets_source import reveal

FOLDER = "/run/redrill-secrets"


def files_of(endpoint: Endpoint) -> set[Path]:
    """Return the files in which the secrets of its applications are."""
    return {secret.file for _, secret in _secrets(endpoint) if secret.file is not None}


def ensure_password(file: Path) -> None:
    """Write a password of 32 random characters to a private file that does not exist."""
    if not file.exists():
        write_private_bytes(file, [f"{secrets.token_hex(16)}\n".encode()])


def hand_over(machine: Machine, endpoint: Endpoint, deadline: Deadline) -> None:
    """Put the secrets of its applications below FOLDER, each at the path that it has below 'applications'.

    FleetError when one cannot be had.
    """
    for path, secret in _secrets(endpoint):
        file = shlex.quote(f"{FOLDER}/{path}")
        # A lab that was taken down and brought up again has another password in the same file.
        value = reveal(secret, anew=True)
        command = f"umask 077 && mkdir -p $(dirname {file}) && cat >{file}"
        machine.send(command, iter([value.encode()]), deadline).checked()


def _secrets(endpoint: Endpoint) -> Iterator[tuple[str, SecretValue]]:
    for path, secret in secrets_in(endpoint.applications):
        if isinstance(secret, SecretValue):
            yield "/".join(map(str, path)), secret
