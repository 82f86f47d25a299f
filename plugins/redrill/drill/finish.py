"""The last phases: observe what came back, look at the log sink, and leave nothing of the drill behind."""

import shlex
from collections.abc import Callable

from redrill.collectors.protocol import Arrival, Collector
from redrill.drill.bench import Bench
from redrill.drill.markers import read_markers, remove_markers
from redrill.drill.prepare import send_message, take_observation
from redrill.errors import CleanupError, CommandError, MachineError
from redrill.machine.ansible import check_playbook
from redrill.model.deadline import Deadline, wait_until
from redrill.model.desired_state import PlaybookResult
from redrill.model.record import LogMessage

_ARRIVAL_SECONDS = 10.0
"""How long a message may take to the sink."""

_ASKING_SECONDS = 30.0
"""How long one answer of the sink may take: what is cut off when the arrival time is up would read as no answer."""


def observe_after(bench: Bench, deadline: Deadline) -> None:
    """Read the markers, observe, and ask the sink for the messages before the wipe and after the recovery."""
    evidence = bench.evidence
    bench.reconnect(deadline)
    if bench.collector and bench.mode.is_destructive:
        evidence.messages.append(send_message(bench, "after", deadline))
    evidence.markers = read_markers(bench.machine, evidence.markers, deadline)
    evidence.after = take_observation(bench, "after", deadline)
    if bench.collector:
        find = _find_messages if bench.mode.is_destructive else _find_boot
        evidence.messages = find(bench, deadline.within(_ARRIVAL_SECONDS))
    evidence.playbook = _check_desired_state(bench, deadline)
    arrived = sum(message.arrived for message in evidence.messages)
    told = [f"{arrived} of {len(evidence.messages)} messages at the sink", bench.detail]
    bench.detail = ", ".join(filter(None, told))


def _check_desired_state(bench: Bench, deadline: Deadline) -> PlaybookResult | None:
    """Return what the owner's playbook would change, None when the endpoint declares none."""
    wanted = bench.endpoint.desired_state
    if wanted is None:
        return None
    if bench.location is None or not bench.machine.has_init:
        return PlaybookResult(unknown="there is no running system that Ansible could log in to")
    return check_playbook(bench.endpoint, wanted, bench.location, deadline.within(wanted.timeout.total_seconds()))


def _find_messages(bench: Bench, deadline: Deadline) -> list[LogMessage]:
    collector, sent = bench.collector, bench.evidence.messages
    if collector is None:
        return sent

    def all_arrived(is_last_try: bool) -> list[LogMessage] | None:
        arrivals = {arrival.nonce: arrival for arrival in _find(collector, sent)}
        if len(arrivals) < len(sent) and not is_last_try:
            return None
        return [
            _mark(m, arrivals[m.nonce].boot_id, arrivals[m.nonce].hostname) if m.nonce in arrivals else m for m in sent
        ]

    return _ask(lambda: wait_until(all_arrived, deadline, interval=0.1), sent)


def _find(collector: Collector, sent: list[LogMessage]) -> list[Arrival]:
    return collector.find([message.nonce for message in sent], Deadline.after(_ASKING_SECONDS))


def _find_boot(bench: Bench, deadline: Deadline) -> list[LogMessage]:
    """Write nothing: the sink must know the current boot, if only by the log-in that this run itself made."""
    collector, after = bench.collector, bench.evidence.after
    if collector is None or after is None:
        return []
    boot_id = after.boot_id.replace("-", "")
    message = LogMessage(stage="present", nonce="", boot_id=boot_id, hostname=after.hostname)

    def has_arrived(is_last_try: bool) -> list[LogMessage] | None:
        if boot_id in collector.boots_seen(after.hostname, Deadline.after(_ASKING_SECONDS)):
            return [_mark(message, boot_id, after.hostname)]
        return [message] if is_last_try else None

    return _ask(lambda: wait_until(has_arrived, deadline, interval=0.2), [message])


def _mark(message: LogMessage, boot_id: str, hostname: str) -> LogMessage:
    seen = {"arrived": True, "arrived_boot_id": boot_id, "arrived_hostname": hostname}
    return message.model_copy(update=seen)


def _ask(question: Callable[[], list[LogMessage]], otherwise: list[LogMessage]) -> list[LogMessage]:
    try:
        return question()
    except MachineError as error:
        return [message.model_copy(update={"unknown": str(error)}) for message in otherwise]


def release(bench: Bench, deadline: Deadline) -> None:
    """Remove the markers and canaries of this drill from the endpoint; CleanupError lists what stays."""
    machine, left = bench.reconnect(deadline), list[str]()
    try:
        remove_markers(machine, bench.evidence.markers, deadline)
    except CommandError as error:
        paths = ", ".join(f"'{marker.path}'" for marker in bench.evidence.markers)
        left.append(f"the markers {paths} ({error})")
    for name in bench.canaries:
        canary = bench.endpoint.applications[name].canary
        if canary and canary.clear:
            try:
                machine.run(canary.clear, deadline).checked()
            except CommandError as error:
                left.append(f"the canaries of '{name}' ({error})")
    if left:
        raise CleanupError(
            f"On '{bench.endpoint.name}' the drill left something behind; remove it by hand: {'; '.join(left)}."
        )


def stand_down(bench: Bench, deadline: Deadline) -> None:
    """Undo the preparations of a drill that ends before its wipe: the endpoint goes on as it was."""
    for witness in bench.witnesses.values():
        witness.stop()
    bench.canaries = {name: tuple(witness.acknowledged) for name, witness in bench.witnesses.items()}
    try:
        if bench.is_quiesced and bench.machine.has_init and (units := _units_before(bench)):
            bench.machine.run(f"systemctl start -- {' '.join(map(shlex.quote, units))}", deadline).checked()
    finally:
        release(bench, deadline)


def _units_before(bench: Bench) -> list[str]:
    """Return the units that own data and ran before the drill; those of which that is not known, too."""
    declared = [unit for application in bench.endpoint.applications.values() for unit in application.units]
    seen = bench.evidence.before.units if bench.evidence.before else {}
    return [unit for unit in declared if unit not in seen or seen[unit].active.startswith("active")]
