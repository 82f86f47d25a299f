"""A plan as the two tables that a person reads before confirming it."""

from redrill.drill.planning import Plan
from redrill.model.values import spell_duration

TARGET_COLUMNS = (
    "wave",
    "endpoint",
    "role",
    "taken down at",
    "identity",
    "rebuilt from",
    "restored from a backup",
    "made here",
)
GUARD_COLUMNS = ("guard", "endpoint", "state", "why")
_SHORT = 19


def target_rows(plan: Plan) -> list[list[str]]:
    """Return a row for each endpoint, in the order in which they would be wiped."""
    wave_of = {name: number for number, wave in enumerate(plan.waves, start=1) for name in wave}
    return [
        [
            str(wave_of[target.endpoint]),
            target.endpoint,
            target.role or "-",
            target.address,
            target.identity or "unknown",
            f"{target.image} {target.digest[:_SHORT]}" if target.image else "unknown",
            target.backup.partition(";")[0],
            "yes" if target.is_made_here else "no",
        ]
        for target in sorted(plan.targets, key=lambda target: wave_of[target.endpoint])
    ]


def backup_notes(plan: Plan) -> list[str]:
    """Return what there is to say of the backups: how they are kept, once for all endpoints that it is true of."""
    shared: dict[str, list[str]] = {}
    for target in plan.targets:
        if note := target.backup.partition(";")[2].strip():
            shared.setdefault(note, []).append(f"'{target.endpoint}'")
    age = f"A backup of another run would do while it is not older than {spell_duration(plan.backup_valid)}."
    return [*(f"Backups of {', '.join(names)}: {note}." for note, names in shared.items()), age]


def landing_notes(plan: Plan) -> list[str]:
    """Return what would be done to each endpoint that is to come up on a new host."""
    return [f"'{target.endpoint}': {target.landing}." for target in plan.targets if target.landing]


def guard_rows(plan: Plan) -> list[list[str]]:
    """Return a row for each answer of a guard; endpoints of which a guard says the same share one."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for state in plan.guards:
        detail = "as in the table above" if state.name == "identity" and not state.forbids else state.detail
        shared.setdefault((state.name, state.state.value, detail), []).append(state.endpoint)
    rows = []
    for (name, answer, detail), endpoints in shared.items():
        rows.append(
            [name, ", ".join(endpoints) or "", answer.upper() if answer in {"refuse", "unknown"} else answer, detail]
        )
    return rows
