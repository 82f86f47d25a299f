"""Where the secrets of a fleet file are looked up: the environment, files and commands of the controller."""

import os
import threading

from redrill.errors import FleetError, MachineError
from redrill.machine.secret_command import run_secret_command
from redrill.model.deadline import Deadline
from redrill.model.secret import SecretValue
from redrill.redaction import register

SHORTEST = 8
LONGEST = 65_536
_COMMAND_SECONDS = 60.0
_revealed: dict[SecretValue, str] = {}
_lock = threading.Lock()


def reveal(secret: SecretValue, *, anew: bool = False) -> str:
    """Return the value of a secret, without line ends after it; from then on nothing that is reported shows it.

    It is looked up once in a process, or ``anew``, when it must still be where it was. FleetError, which says where
    it should have come from, when it cannot be had, is empty, below eight characters (it could not be told from
    ordinary words and be hidden), or above 64 KiB.
    """
    with _lock:
        if anew or secret not in _revealed:
            value = _check(secret, _look_up(secret))
            register(value)
            _revealed[secret] = value
        return _revealed[secret]


def reveal_at_hand(secret: SecretValue) -> None:
    """Look up a secret that needs no command, so that it is hidden from the output; FleetError as ``reveal``."""
    if secret.command is None:
        reveal(secret)


def _check(secret: SecretValue, value: str) -> str:
    if not value:
        raise FleetError(f"The secret from {secret.origin} is empty; put the secret there.")
    if len(value) < SHORTEST:
        raise FleetError(
            f"The secret from {secret.origin} has fewer than {SHORTEST} characters, so it cannot be told from ordinary "
            "words and hidden in reports; use a longer one."
        )
    if len(value) > LONGEST or "\0" in value:
        raise FleetError(f"The secret from {secret.origin} is above {LONGEST} bytes or holds a NUL; that is no secret.")
    return value


def _look_up(secret: SecretValue) -> str:
    if secret.env is not None:
        return _from_environment(secret.env)
    data = _from_file(secret) if secret.file is not None else _from_command(secret)
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise FleetError(f"The secret from {secret.origin} is not UTF-8; store it as text.") from None


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise FleetError(f"The environment variable '{name}' is not set, so the secret is unknown; export it.")
    return value


def _from_file(secret: SecretValue) -> bytes:
    path = secret.file
    if path is None or not path.is_file():
        raise FleetError(f"The secret from {secret.origin} cannot be read: there is no such regular file.")
    try:
        with path.open("rb") as file:
            return file.read(LONGEST + 3)
    except OSError as error:
        raise FleetError(f"The secret from {secret.origin} cannot be read: {error.strerror}.") from None


def _from_command(secret: SecretValue) -> bytes:
    try:
        return run_secret_command(secret.command or "", Deadline.after(_COMMAND_SECONDS))
    except MachineError as error:
        raise FleetError(
            f"The secret from {secret.origin} cannot be had: {error}; run it by hand to see why."
        ) from None
