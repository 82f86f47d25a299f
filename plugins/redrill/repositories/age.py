"""Backups encrypted at rest with age (age-encryption.org): streams in bounded memory, keys of type X25519."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, Full, Queue
from threading import Event
from typing import TYPE_CHECKING, Any

from redrill.errors import BackupError, FleetError

if TYPE_CHECKING:
    import pyrage

SUFFIX = ".age"
_PATIENCE = 0.1


def parse_recipients(lines: Sequence[str]) -> "list[pyrage.x25519.Recipient]":
    """Return the public keys of a fleet file; FleetError for one that is none, or without the library."""
    library = _library() if lines else None
    recipients = []
    for line in lines:
        try:
            recipients.append(library.x25519.Recipient.from_str(line))  # type: ignore[union-attr]  # there are lines
        except Exception as error:  # noqa: BLE001 - the library has an exception type for each kind of key
            raise FleetError(f"repository.recipients: {line!r} is not a public key of age ('age1…'): {error}") from None
    return recipients


def parse_identities(text: str, origin: str) -> "list[pyrage.x25519.Identity]":
    """Return the private keys of an identity file as age-keygen writes it; BackupError, which quotes none of it."""
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise BackupError(f"The identity that decrypts the backups ({origin}) is empty; it holds no key of age.")
    try:
        return [_library().x25519.Identity.from_str(key) for key in keys]
    except FleetError:
        raise
    except Exception:  # noqa: BLE001 - what the library says may hold the key
        raise BackupError(
            f"The identity that decrypts the backups ({origin}) is no private key of age ('AGE-SECRET-KEY-1…')."
        ) from None


@contextmanager
def encrypting(
    write: Callable[[bytes], object], recipients: "Sequence[pyrage.x25519.Recipient]"
) -> Iterator[Callable[[bytes], object]]:
    """Yield a ``write`` that encrypts for the recipients; all is written when the context is left well."""
    source = _Feed()
    with ThreadPoolExecutor(1, "encrypt") as pool:
        future = source.reader = pool.submit(_library().encrypt_io, source, _Sink(write), list(recipients))
        try:
            yield source.put
            source.put(b"")
        except BaseException:
            source.is_given_up.set()
            raise
        try:
            future.result()
        except Exception as error:
            raise BackupError(f"The backup could not be encrypted: {error}") from error


def decrypt(chunks: Iterator[bytes], identities: "Sequence[pyrage.x25519.Identity]") -> Iterator[bytes]:
    """Yield what was encrypted; BackupError when no identity fits, or when it is damaged or cut off."""
    queue: Queue[bytes] = Queue(maxsize=8)
    stopped = Event()
    source = _Pull(chunks)

    def give(data: bytes) -> None:
        while not stopped.is_set():
            with suppress(Full):
                queue.put(data, timeout=_PATIENCE)
                return
        raise BrokenPipeError

    def work() -> None:
        try:
            _library().decrypt_io(source, _Sink(give), list(identities))
        finally:
            give(b"")

    with ThreadPoolExecutor(1, "decrypt") as pool:
        future = pool.submit(work)
        try:
            yield from iter(queue.get, b"")
        finally:
            stopped.set()
        _check(future, source)


def _check(future: "Future[None]", source: "_Pull") -> None:
    try:
        future.result()
    except Exception as error:
        if source.error is not None:
            raise source.error from None
        if "matching keys" in str(error):
            raise BackupError(
                "The backup is encrypted for another key: none of the identities in 'repository.identity' opens it."
            ) from None
        raise BackupError(f"The encrypted backup is damaged or cut off: {error}.") from error


class _Sink:
    """The two methods of a file that the library calls on what it writes to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        self._write(data)
        return len(data)

    def flush(self) -> None:
        pass


class _Pull:
    """The one method of a file that the library calls on what it reads from, over chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.error: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            while not self._rest and (chunk := next(self._chunks, None)) is not None:
                self._rest = chunk
        except BaseException as error:
            self.error = error  # the library would make words of it
            raise
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


class _Feed:
    """A reader that is fed from another thread; an empty chunk is the end."""

    def __init__(self) -> None:
        self._queue: Queue[bytes] = Queue(maxsize=8)
        self._rest = b""
        self.is_given_up = Event()
        self.reader: Future[None] | None = None

    def put(self, data: bytes) -> None:
        """Take a chunk as soon as there is room; BackupError with what ended the reader early."""
        while self.reader and not self.reader.done():
            with suppress(Full):
                self._queue.put(data, timeout=_PATIENCE)
                return
        error = self.reader.exception() if self.reader else None
        raise BackupError(f"The backup could not be encrypted: {error}") from error

    def read(self, size: int) -> bytes:
        while not self._rest:
            try:
                self._rest = self._queue.get(timeout=_PATIENCE)
            except Empty:
                if self.is_given_up.is_set():
                    raise BrokenPipeError from None
                continue
            if not self._rest:
                return b""
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def _library() -> Any:
    try:
        import pyrage  # noqa: PLC0415 - an extra: only encrypted backups need it
    except ImportError as error:
        raise FleetError(
            "Encrypted backups need the library 'pyrage', which is missing; install 'redrill[age]'."
        ) from error
    return pyrage
