"""What a guard says: it passes, it refuses, it cannot tell, or the fleet file switches it off."""

from collections.abc import Callable, Iterable
from enum import StrEnum

from redrill.errors import GuardError, RedrillError
from redrill.model.values import Text, Value


class Answer(StrEnum):
    """The answers of a guard; all but ``pass`` and ``off`` forbid the wipe."""

    PASS = "pass"  # noqa: S105 - no password
    REFUSE = "refuse"
    UNKNOWN = "unknown"
    OFF = "off"


class GuardState(Value):
    """What one guard says, about the whole run or about one endpoint."""

    name: str
    state: Answer
    detail: Text
    endpoint: str = ""

    @property
    def forbids(self) -> bool:
        """Whether nothing may be wiped because of it: unknown refuses, too."""
        return self.state in (Answer.REFUSE, Answer.UNKNOWN)

    def __str__(self) -> str:
        about = f" of '{self.endpoint}'" if self.endpoint else ""
        doubt = " is unknown" if self.state is Answer.UNKNOWN else ""
        return f"{self.name}{about}{doubt}: {self.detail}"


def passes(name: str, detail: str, endpoint: str = "") -> GuardState:
    """Return the state of a guard that has nothing against the wipe."""
    return GuardState(name=name, state=Answer.PASS, detail=detail, endpoint=endpoint)


def refuses(name: str, detail: str, endpoint: str = "") -> GuardState:
    """Return the state of a guard that forbids the wipe; the detail says why, and what to do."""
    return GuardState(name=name, state=Answer.REFUSE, detail=detail, endpoint=endpoint)


def unknown(name: str, detail: str, endpoint: str = "") -> GuardState:
    """Return the state of a guard that cannot tell, which forbids the wipe."""
    return GuardState(name=name, state=Answer.UNKNOWN, detail=detail, endpoint=endpoint)


def off(name: str, detail: str, endpoint: str = "") -> GuardState:
    """Return the state of a guard that the fleet file does not ask for."""
    return GuardState(name=name, state=Answer.OFF, detail=detail, endpoint=endpoint)


def told(name: str, judge: Callable[[], GuardState], endpoint: str = "") -> GuardState:
    """Return what ``judge`` says; whatever breaks in it is unknown, never a pass."""
    try:
        return judge()
    except (RedrillError, OSError, ValueError, LookupError) as error:
        return unknown(name, f"it cannot be told: {type(error).__name__}: {error}", endpoint)


def require_all(states: Iterable[GuardState], where: str) -> None:
    """Raise GuardError with every guard that forbids the wipe; ``where`` opens the message."""
    against = [str(state) for state in states if state.forbids]
    if against:
        raise GuardError("\n  and ".join([f"{where} {against[0]}", *against[1:]]))
