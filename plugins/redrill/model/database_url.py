"""The URL of a database as a fleet file says it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Tag

from redrill.model.secret import SecretValue


def _check_url(value: str) -> str:
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    if url.password is not None or "password=" in url.query:
        # Not shown: it holds the password.
        raise ValueError("the URL holds a password; write the whole URL as {env: NAME}, {file: PATH} or {command: '…'}")
    if url.scheme != "postgresql":
        raise ValueError(f"{value!r} is no URL of a database; write 'postgresql://USER@HOST/DATABASE'")
    return value


DatabaseUrl = Annotated[
    Annotated[SecretValue, Tag("secret")] | Annotated[str, AfterValidator(_check_url), Tag("text")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "secret"),
]
"""``postgresql://USER@HOST/DATABASE``, as a secret when it holds a password; without one, libpq looks in its files."""
