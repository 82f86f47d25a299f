"""The texts of a few small files, in one round trip."""

import base64
import binascii
import shlex
from collections.abc import Iterator, Sequence

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.redaction import is_sensitive

LARGEST = 64 << 10
"""Bytes of the largest file whose text is read."""

MOST = 200
"""Files that are read at once."""

# A link is not followed: it may have been put there since, to point at what must not be read.
_PROGRAM = r"""
cd "${ROOT-}/" || exit
for path in @PATHS@; do
  if [ -f "$path" ] && [ ! -h "$path" ] && [ "$(wc -c <"$path")" -le @LARGEST@ ]; then
    base64 <"$path" | tr -d '\n'
  else
    printf -
  fi
  echo
done
"""


def read_texts(machine: Machine, paths: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """Return the texts of regular files by path, which are absolute; of sensitive paths nothing is asked.

    Left out are files that are gone or larger than 64 kB, those after the first 200, and what is no text in UTF-8.
    """
    wanted = [path for path in paths if not is_sensitive(path)][:MOST]
    if not wanted:
        return {}
    words = " ".join(shlex.quote(f".{path}") for path in wanted)
    command = _PROGRAM.replace("@PATHS@", words).replace("@LARGEST@", str(LARGEST))
    lines = machine.run(command, deadline).checked().text.split("\n")
    if len(lines) != len(wanted):
        raise MachineError(
            f"'{machine.name}' sent {len(lines)} texts of {len(wanted)}; nothing can be said about them."
        )
    return dict(_decode(wanted, lines))


def _decode(paths: Sequence[str], lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path, line in zip(paths, lines, strict=True):
        try:
            text = as_text(base64.b64decode(line, validate=True)) if line != "-" else None
        except binascii.Error as error:
            raise MachineError(f"The text of {path!r} came damaged: {error}.") from error
        if text is not None:
            yield path, text


def as_text(content: bytes) -> str | None:
    """Return content as text, None when it is none: other than UTF-8, or with a NUL."""
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
