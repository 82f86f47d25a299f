"""Pinned host keys: what an SSH server must show before anything is sent to it. Never trust on first use."""

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redrill.errors import HostKeyError

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
NEGOTIABLE = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": _RSA_SIGNATURES,
}
"""Signature algorithms by key type, best first; SHA-1 is not among them."""


class UnpinnedHostError(HostKeyError):
    """No key is pinned for a host, so nobody can tell who answers."""


class OtherKeyError(HostKeyError):
    """A host showed ``shown``, which is not pinned for it."""

    def __init__(self, message: str, shown: "HostKey") -> None:
        super().__init__(message)
        self.shown = shown


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key: its type and its SSH wire format."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """The key as ``ssh-keygen -l`` shows it: ``SHA256:`` and 43 characters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Pins:
    """The keys that a host may show, those it must never show, and where they were read."""

    accepted: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()
    has_authority: bool = False
    source: str = ""

    def algorithms(self, machine: str, where: str) -> tuple[str, ...]:
        """Return the signature algorithms to negotiate; UnpinnedHostError when nothing usable is pinned."""
        usable = {kind: None for key in self.accepted if key not in self.revoked for kind in [key.kind]}
        found = tuple(name for kind, names in NEGOTIABLE.items() if kind in usable for name in names)
        if found:
            return found
        if self.accepted:
            reason = f"all of its pinned keys are revoked or of a type that is not supported ({_listed(self.accepted)})"
        elif self.has_authority:
            reason = f"only a certificate authority is pinned for it in {self.source}, which is not supported"
        else:
            reason = f"no host key is pinned for it{f' in {self.source}' if self.source else ''}"
        raise UnpinnedHostError(
            f"'{machine}' ({where}) was not contacted, because {reason}. Run 'ssh-keyscan' from a place that you trust "
            f"(or read /etc/ssh/ssh_host_ed25519_key.pub on its console) and pin the line 'ssh-ed25519 AAAA…' under "
            f"'ssh: {{host_keys: […]}}' in the fleet file."
        )

    def check(self, shown: HostKey, machine: str, where: str) -> None:
        """Accept the key that a host showed, or raise HostKeyError with both fingerprints."""
        if shown in self.revoked:
            raise OtherKeyError(
                f"'{machine}' ({where}) showed the host key {shown}, which is marked as revoked in {self.source}. "
                f"Nothing was sent to it; whoever answers there may be an impostor.",
                shown,
            )
        if shown not in self.accepted:
            raise OtherKeyError(
                f"'{machine}' ({where}) showed the host key {shown}, but {_listed(self.accepted)} is pinned in "
                f"{self.source}. Nothing was sent to it. If the host was rebuilt, learn its new key out of band and "
                f"pin that; else another system answers on this address.",
                shown,
            )


def parse_key(line: str) -> HostKey:
    """Return the key of a line ``ssh-ed25519 AAAA… comment``; ValueError when it is none."""
    words = line.split()
    if len(words) < 2:
        raise ValueError(f"{line!r} is not a host key; write its type and its base64 text: 'ssh-ed25519 AAAA…'")
    kind, text = words[0], words[1]
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    name = kind.encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise ValueError(f"{line!r} is not a host key; its base64 text does not hold a key of the type '{kind}'")
    return HostKey(kind, blob)


def pin_lines(lines: Iterable[str], machine: str, source: str) -> Pins:
    """Return the pins of lines ``ssh-ed25519 AAAA…``; HostKeyError names a line that is no key."""
    try:
        return Pins(accepted=tuple(dict.fromkeys(parse_key(line) for line in lines)), source=source)
    except ValueError as error:
        raise HostKeyError(f"A pinned host key of '{machine}' in {source} is wrong: {error}.") from error


def read_known_hosts(paths: Sequence[Path], host: str, port: int) -> Pins:
    """Return what known_hosts files say about a host; files that do not exist say nothing."""
    found = [entry for path in paths for entry in _matching_entries(path, host, port)]
    return Pins(
        accepted=tuple(dict.fromkeys(key for mark, key in found if not mark)),
        revoked=tuple(dict.fromkeys(key for mark, key in found if mark == "@revoked")),
        has_authority=any(mark == "@cert-authority" for mark, _ in found),
        source=" and ".join(f"'{path}'" + ("" if path.exists() else " (which does not exist)") for path in paths),
    )


def _matching_entries(path: Path, host: str, port: int) -> Iterator[tuple[str, HostKey]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostKeyError(f"The known_hosts file '{path}' cannot be read: {error}") from error
    name = (host if port == 22 else f"[{host}]:{port}").lower()
    for line in lines:
        mark, _, rest = line.strip().partition(" ") if line.lstrip().startswith("@") else ("", "", line.strip())
        names, _, key = rest.strip().partition(" ")
        if names and not names.startswith("#") and _is_named(name, names):
            try:
                yield mark, parse_key(key)
            except ValueError:
                continue  # another program's key type or a torn line pins nothing


def _is_named(name: str, names: str) -> bool:
    """Whether a host stands in the first field of a known_hosts line: hashed, or patterns of which ``!`` excludes."""
    if names.startswith("|1|"):
        _, _, salt, digest = [*names.split("|"), "", ""][:4]
        try:
            expected = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
            return hmac.compare_digest(expected, base64.b64decode(digest))
        except (binascii.Error, ValueError):
            return False
    patterns = names.lower().split(",")
    if any(_is_like(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_is_like(name, pattern) for pattern in patterns)


def _is_like(name: str, pattern: str) -> bool:
    # In OpenSSH brackets are literal: '[host]:2222' is not a character class.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _listed(keys: Iterable[HostKey]) -> str:
    return " or ".join(str(key) for key in keys) or "none"
