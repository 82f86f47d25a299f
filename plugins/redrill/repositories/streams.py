"""Streams of bytes that are looked at while they go by."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, Full, Queue
from threading import Semaphore
from typing import IO, TypeVar, cast

import zstandard

from redrill.errors import BackupError

T = TypeVar("T")

CHUNK = 1 << 18
_PATIENCE = 0.1


class HeldBack:
    """A stream without its last ``size`` bytes, which are in ``tail`` once it has been read to its end."""

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        """Yield everything that is certainly not of the tail."""
        for chunk in self._chunks:
            self.tail += chunk
            if len(self.tail) > self._size:
                yield self.tail[: -self._size]
                self.tail = self.tail[-self._size :]


def tee(chunks: Iterator[bytes], sink: Callable[[bytes], object]) -> Iterator[bytes]:
    """Yield the chunks, each after ``sink`` has seen it."""
    for chunk in chunks:
        sink(chunk)
        yield chunk


def compress(chunks: Iterator[bytes], level: int) -> Iterator[bytes]:
    """Yield one zstd frame, which carries a checksum of its content."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    yield from filter(None, map(compressor.compress, chunks))
    yield compressor.flush()


def decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of zstd frames, as zstd(1) does, in pieces of bounded size; BackupError when one is damaged.

    A frame that is cut off ends early: whoever reads it must know by the content or by a digest where its end is.
    """
    source = cast(IO[bytes], _Source(chunks))
    try:
        # A decompressobj has no bound: a quarter of a megabyte may stand for gigabytes of zeros.
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_size=CHUNK, read_across_frames=True)
        with reader:
            while piece := reader.read(CHUNK):
                yield piece
    except zstandard.ZstdError as error:
        raise BackupError(f"The archive is damaged: {error}.") from error


class _Source:
    """The one method of a file that zstandard calls, over chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next((chunk for chunk in self._chunks if chunk), b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def hand_over(chunks: Iterator[bytes], consume: Callable[[Iterator[bytes]], T]) -> T:
    """Read the chunks in this thread, run ``consume`` on them in another, and return what it returned.

    What ``consume`` raises is raised here, and stops the reading.
    """
    queue: Queue[bytes | None] = Queue(maxsize=1)  # a chunk may be a megabyte, and every endpoint has such a queue
    with ThreadPoolExecutor(1, "hand-over") as pool:
        future = pool.submit(consume, iter(queue.get, None))
        try:
            for chunk in chunks:
                if not _put(queue, chunk, future):
                    break
        finally:
            _put(queue, None, future)
        return future.result()


@contextmanager
def feeding(consume: Callable[[Iterator[bytes]], object]) -> Iterator[Callable[[bytes], object]]:
    """Yield a ``write`` for what ``consume`` reads in another thread; what that raises is raised here.

    It has read all of it when the context is left well.
    """
    queue: Queue[bytes | None] = Queue(maxsize=1)
    with ThreadPoolExecutor(1, "feed") as pool:
        future = pool.submit(consume, iter(queue.get, None))

        def write(chunk: bytes) -> None:
            if not _put(queue, chunk, future):
                future.result()

        try:
            yield write
        finally:
            _put(queue, None, future)
        future.result()


def _put(queue: "Queue[bytes | None]", chunk: bytes | None, future: "Future[T]") -> bool:
    """Put a chunk as soon as there is room; False when nobody takes it any more."""
    while not future.done():
        with suppress(Full):
            queue.put(chunk, timeout=_PATIENCE)
            return True
    with suppress(Empty):
        queue.get_nowait()
    return False


def inspect(chunks: Iterator[bytes], look: Callable[[Iterator[bytes]], object]) -> Iterator[bytes]:
    """Yield each chunk only after ``look``, in another thread, has dealt with it; what it raises is raised here.

    So nobody gets a byte that was not looked at, and nobody gets to the end before ``look`` is content with the whole.
    """
    queue: Queue[bytes | None] = Queue()
    turn = Semaphore(0)

    def handed() -> Iterator[bytes]:
        turn.release()
        for chunk in iter(queue.get, None):
            yield chunk
            turn.release()

    with ThreadPoolExecutor(1, "inspect") as pool:
        future = pool.submit(look, handed())
        future.add_done_callback(lambda _: turn.release())
        try:
            turn.acquire()
            for chunk in chunks:
                queue.put(chunk)
                turn.acquire()
                if future.done():
                    future.result()
                    raise BackupError("The archive is damaged: it goes on after its end.")
                yield chunk
        finally:
            queue.put(None)
        future.result()
