"""The catalogue of identities: what makes an endpoint itself, where it is kept, and what must become of it."""

from enum import StrEnum
from pathlib import Path

import yaml
from pydantic import TypeAdapter, model_validator

from redrill.model.finding import Severity
from redrill.model.values import Value

_FILE = Path(__file__).with_name("identity_classes.yml")


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
        return self


def _load() -> dict[str, IdentityClass]:
    # Every session needs it, and the loader in C, where PyYAML has it, takes a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(_FILE.read_bytes(), Loader=loader)  # noqa: S506 - both loaders are safe
    classes = TypeAdapter(tuple[IdentityClass, ...]).validate_python(document)
    return {each.name: each for each in classes}


IDENTITY_CLASSES = _load()
"""All classes by name."""
