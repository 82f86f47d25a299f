"""Findings with what the owner's rules say about them, and what all findings of a run come to."""

from enum import StrEnum

from redrill.model.finding import Finding
from redrill.model.values import Text, Value


class State(StrEnum):
    """What becomes of a finding; only an open one breaks its promise."""

    OPEN = "open"
    WAIVED = "waived"
    NOTE = "note"
    IGNORED = "ignored"


class Weighed(Value):
    """A finding and its state; ``told`` says who decided that, by what and until when.

    ``waiver`` is the id of the waiver that covers it: it counts when the state is waived, and has expired when the
    finding is open.
    """

    finding: Finding
    state: State
    waiver: str = ""
    told: Text = ""


class Tally(Value):
    """All findings of a run in numbers, by promise and state, and what is to be said about waivers and rules.

    Each tuple holds a line for each waiver or ignore rule: those in force (``waived``), those whose findings count
    again because they have ``expired``, those that were put off too often (``escalated``), and those that matched
    nothing (``unused``). ``waivers`` says which file was in force.
    """

    promises: dict[str, dict[State, int]] = {}
    waivers: Text = ""
    waived: tuple[Text, ...] = ()
    expired: tuple[Text, ...] = ()
    escalated: tuple[Text, ...] = ()
    unused: tuple[Text, ...] = ()

    @property
    def states(self) -> dict[State, int]:
        """The number of findings in each state."""
        return {state: sum(counts.get(state, 0) for counts in self.promises.values()) for state in State}
