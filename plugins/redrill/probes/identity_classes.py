"""The catalogue of identities: what makes an endpoint itself, where it is kept, and what must become of it."""

from enum import StrEnum

from pydantic import model_validator

from redrill.model.data_file import read_data
from redrill.model.finding import Severity
from redrill.model.values import Value


class Policy(StrEnum):
    """What a value must be after a drill: the same, never the same again, or either."""

    KEEP = "keep"
    RENEW = "renew"
    FREE = "free"


class IdentityClass(Value):
    """One class of identities; the head of ``identity_classes.yml`` says what each field means."""

    name: str
    paths: tuple[str, ...] = ()
    line: str = ""
    has_lines: bool = False
    command: str = ""
    linked: bool = True
    source: str
    replace: Policy
    relocate: Policy
    unique: bool
    severity: Severity
    why: str

    @model_validator(mode="after")
    def _is_read_in_one_way(self) -> "IdentityClass":
        if bool(self.paths) == bool(self.command):
            raise ValueError(f"'{self.name}' needs either paths or a command")
        if self.has_lines and not self.line:
            raise ValueError(f"'{self.name}' is lines of a file, so it needs 'line'")
        return self


IDENTITY_CLASSES = {each.name: each for each in read_data(__file__, "identity_classes.yml", tuple[IdentityClass, ...])}
"""All classes by name."""
