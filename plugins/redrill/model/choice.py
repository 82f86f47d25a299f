"""Which of the snapshots that an owner has a drill is to restore, instead of one that it makes itself."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PlainSerializer, model_validator

from redrill.model.values import Value, parse_duration, spell_duration


def _parse_moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise ValueError(
            f"{value!r} is neither a time with its zone, such as '2026-11-21T04:00:00Z', nor a duration, such as '26h'"
        )
    return moment


def _spell_moment(value: timedelta | datetime | None) -> str | None:
    if isinstance(value, timedelta):
        return spell_duration(value)
    return value.isoformat() if value else None


Moment = Annotated[
    timedelta | datetime,
    BeforeValidator(_parse_moment, json_schema_input_type=str),
    PlainSerializer(_spell_moment, return_type=str),
]


class SnapshotChoice(Value):
    """The newest snapshot that fits all that is said: made before a time, or so long ago; with a tag; with an id.

    A unique beginning of the id will do. Those that drills have made are meant only where their id or tag is said.
    """

    latest: Literal[True] | None = None
    before: Moment | None = None
    tag: str | None = None
    id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.latest and self.before:
            raise ValueError("'latest' and 'before' contradict each other; say one of them")
        if not (self.latest or self.before or self.tag or self.id):
            raise ValueError("nothing says which snapshot; write {latest: true}, or 'before', 'tag' or 'id'")
        return self

    @property
    def words(self) -> str:
        """What is asked for, for messages."""
        before = f"from before {_spell_moment(self.before)}" if isinstance(self.before, datetime) else None
        older = f"older than {_spell_moment(self.before)}" if isinstance(self.before, timedelta) else None
        tagged, named = self.tag and f"with the tag '{self.tag}'", self.id and f"with the id '{self.id}'"
        return ", ".join(filter(None, (before or older, tagged, named))) or "at all"


def _read_choice(value: Any) -> Any:
    if value == "drill":
        return None
    if isinstance(value, str):
        told = f"{value!r} is no snapshot; write 'drill', or which of the owner's, such as {{latest: true}}"
        raise ValueError(told)  # noqa: TRY004 - pydantic makes a mistake of the fleet file of it
    return value


Chosen = Annotated[
    SnapshotChoice | None,
    BeforeValidator(_read_choice, json_schema_input_type=SnapshotChoice | Literal["drill"]),
]
"""A choice; 'drill', which is None, for the backup that the drill makes."""
