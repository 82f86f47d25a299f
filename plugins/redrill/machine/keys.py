"""The keys with which redrill logs in: files or an agent, never a prompt."""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from redrill.errors import MachineError
from redrill.machine.ssh_config import Hop
from redrill.model.deadline import Deadline


def authenticate(transport: paramiko.Transport, name: str, hop: Hop, deadline: Deadline) -> None:
    """Log in with the first key that the server takes; MachineError says which ones were tried."""
    tried: list[str] = []
    with closing(paramiko.Agent()) as agent:
        for label, key in _candidates(name, hop, agent, tried):
            if deadline.is_over:
                break
            tried.append(label)
            if _is_accepted(transport, name, hop, key, deadline):
                return
    if deadline.is_over:
        raise MachineError(f"'{name}' ({hop.where}) did not answer the log-in within {deadline.budget:.3g} s.")
    raise MachineError(
        f"'{name}' ({hop.where}) did not let '{hop.user}' in; tried: {', '.join(tried) or 'no key at all'}. "
        f"Set 'ssh: {{user: …, key: …}}' in the fleet file, or load the key into an agent."
    )


def fault_of_key(path: Path) -> str:
    """Return what is wrong with the file of a private key, '' when nothing is."""
    try:
        load_key(path)
    except ValueError as error:
        return str(error)
    return ""


def load_key(path: Path) -> paramiko.PKey:
    """Return a private key that nobody else can read; ValueError says what is wrong with the file."""
    try:
        status = _status_of(path)
        key = paramiko.PKey.from_path(path)
    except FileNotFoundError as error:
        raise ValueError(
            f"The key '{path}' does not exist; name the private key that opens the endpoint (that of a lab is made by "
            "'redrill lab up')."
        ) from error
    except OSError as error:
        raise ValueError(f"The key '{path}' cannot be read: {error.strerror or error}.") from error
    except (TypeError, paramiko.PasswordRequiredException) as error:
        raise ValueError(
            f"The key '{path}' is protected by a passphrase, and redrill never asks; load it into an agent (ssh-add) "
            "and leave 'key' out."
        ) from error
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        if path.read_bytes().startswith((b"ssh-", b"ecdsa-", b"sk-")):
            raise ValueError(f"The key '{path}' is a public key; name the private one beside it.") from error
        raise ValueError(f"The key '{path}' is not a private key of a supported type: {error}.") from error
    _require_private(path, status)
    return key


def _status_of(path: Path) -> os.stat_result:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device has no end
        raise OSError("it is not a regular file")
    return status


def _require_private(path: Path, status: os.stat_result) -> None:
    # As ssh has it, a group may read a key that is not our own, such as one that an orchestrator mounts.
    if status.st_mode & (0o077 if status.st_uid == os.geteuid() else 0o007):
        raise ValueError(
            f"The key '{path}' is open to others (mode {stat.S_IMODE(status.st_mode):04o}); run "
            f"'chmod 600 {shlex.quote(str(path))}', and replace the key if somebody may have read it."
        )


def _candidates(name: str, hop: Hop, agent: paramiko.Agent, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Yield the keys to try; what cannot be used of the optional ones is noted in ``tried``."""
    if hop.key:
        try:
            yield f"'{hop.key}'", load_key(hop.key)
        except ValueError as error:
            raise MachineError(f"No connection to '{name}' ({hop.where}) was made: {error}") from error
        return
    if not hop.is_without_agent:
        for key in agent.get_keys():
            yield f"agent key {key.fingerprint}", key
    for path in hop.identities:
        if not path.exists():
            continue
        try:
            yield f"'{path}'", load_key(path)
        except ValueError as error:
            tried.append(f"{error} Skipped")


def _is_accepted(transport: paramiko.Transport, name: str, hop: Hop, key: paramiko.PKey, deadline: Deadline) -> bool:
    transport.auth_timeout = deadline.remaining
    try:
        further = transport.auth_publickey(hop.user, key)
    except paramiko.BadAuthenticationType as error:
        raise MachineError(
            f"'{name}' ({hop.where}) takes no keys from '{hop.user}', only: {', '.join(error.allowed_types)}."
        ) from error
    except paramiko.AuthenticationException as error:
        if not transport.is_active() and not deadline.is_over:
            raise MachineError(f"'{name}' ({hop.where}) closed the connection during the log-in: {error}") from error
        return False
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise MachineError(f"The connection to '{name}' ({hop.where}) broke during the log-in: {error}") from error
    if further:
        raise MachineError(
            f"'{name}' ({hop.where}) wants more than a key from '{hop.user}': {', '.join(further)}. "
            f"Give redrill an account that needs a key only."
        )
    return True
