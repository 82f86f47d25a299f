"""Secrets of a fleet file: where each comes from, never what it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, SecretBytes, SecretStr, model_validator

from redrill.model.values import Value

_FORMS = "write {env: NAME}, {file: PATH} or {command: '…'}, which is run on the controller"


class SecretValue(Value):
    """A secret as the fleet file writes it: exactly one of ``env``, ``file`` and ``command``; it holds no value.

    So it can be compared, stored and dumped; ``secrets_source.reveal`` looks the value up.
    """

    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    file: Path | None = Field(default=None, strict=False)
    command: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_plain(cls, value: Any) -> Any:
        if isinstance(value, dict | cls):
            return value
        raise ValueError(f"a secret does not stand in the fleet file itself; {_FORMS}")

    @model_validator(mode="after")
    def _needs_one_source(self) -> Self:
        if sum(source is not None for source in (self.env, self.file, self.command)) != 1:
            raise ValueError(f"a secret comes from exactly one place; {_FORMS}")
        if self.command is not None and (not self.command.strip() or "\0" in self.command):
            raise ValueError("the command of a secret is empty or holds a NUL; name a command that prints the secret")
        return self

    @property
    def origin(self) -> str:
        """Where the value comes from, for messages; of a command only its first word, for it may hold secrets."""
        if self.env is not None:
            return f"the environment variable '{self.env}'"
        if self.file is not None:
            return f"the file '{self.file}'"
        return f"the command '{(self.command or '').split()[0]} …'"

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


Found = tuple[tuple[str | int, ...], SecretValue | str]
"""Where a secret stands, and what it comes from; a text is one that stands in the fleet file itself."""


def secrets_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Found]:
    """Yield every secret of a model and of all that it holds."""
    if isinstance(value, SecretValue):
        yield path, value
    elif isinstance(value, SecretStr):
        yield path, value.get_secret_value()
    elif isinstance(value, SecretBytes):
        yield path, value.get_secret_value().decode("utf-8", "surrogateescape")
    else:
        for key, item in _items(value):
            yield from secrets_in(item, (*path, key))


def _items(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, BaseModel):
        return list(value)
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
