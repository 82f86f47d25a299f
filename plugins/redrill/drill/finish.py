"""The last phases: observe what came back, look at the log sink, and leave nothing of the drill behind."""

from collections.abc import Callable, Collection, Iterator

from redrill.collectors.protocol import Arrival, Collector
from redrill.drill.bench import Bench
from redrill.drill.hard_cases import hard_folder, remove_hard_cases
from redrill.drill.markers import read_markers, remove_markers, remove_restored
from redrill.drill.prepare import send_message, take_observation
from redrill.drill.quiesce import go_on, stopped_classes
from redrill.drill.settle import judge_neighbours
from redrill.errors import CleanupError, CommandError, MachineError
from redrill.machine.ansible import check_playbook
from redrill.machine.protocol import Machine
from redrill.model.canary import Consistency
from redrill.model.deadline import Deadline, wait_until
from redrill.model.desired_state import PlaybookResult
from redrill.model.record import LogMessage, Step
from redrill.model.recovery import CanaryResult
from redrill.model.values import Mode
from redrill.probes.crash_recovery import read_crash_recovery

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
    # Afterwards, for who asks a database makes it write.
    evidence.canaries = _read_canaries(bench)
    evidence.recovery_log = _read_recovery_log(bench, deadline)
    if bench.collector:
        find = _find_messages if bench.mode.is_destructive else _find_boot
        evidence.messages = find(bench, deadline.within(_ARRIVAL_SECONDS))
    evidence.playbook = _check_desired_state(bench, deadline)
    arrived = sum(message.arrived for message in evidence.messages)
    recovered = "its logs tell of a recovery from a crash" if evidence.recovery_log else ""
    told = [f"{arrived} of {len(evidence.messages)} messages at the sink", recovered, bench.detail]
    bench.detail = ", ".join(filter(None, told))


def _read_canaries(bench: Bench) -> dict[str, CanaryResult]:
    """Return what came back of the numbered writes; nothing where nothing was taken down."""
    # What is rebuilt more than once was lost at the first time.
    is_repeated = bench.mode is Mode.VANILLA or Step.TRIALS in bench.done
    ended = bench.evidence.wiped_at if is_repeated else bench.outage.began_at
    if ended is None or bench.evidence.snapshot is None:
        return {}
    is_own, stopped = bench.evidence.snapshot.is_own, stopped_classes(bench.endpoint)
    going = [name for name in bench.endpoint.state_classes if not (is_own and name in stopped)]
    return bench.canaries.read_back(bench.machine, bench.evidence.snapshot.taken, ended, going)


def _read_recovery_log(bench: Bench, deadline: Deadline) -> list[str]:
    """Return what the logs say of recoveries since the restore, where the backup is like what a crash leaves."""
    snapshot, manifest = bench.evidence.snapshot, bench.snapshot_manifest
    is_crash = snapshot is not None and Consistency.CRASH in snapshot.consistency.values()
    if manifest is None or not (is_crash and bench.mode.is_destructive and bench.machine.has_init):
        return []
    sizes = {path: entry.size for path, entry in manifest.entries.items() if path.startswith("/var/log/")}
    return read_crash_recovery(bench.machine, sizes, deadline)


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
    """Remove the markers and canaries of this drill from the endpoint; CleanupError lists what stays.

    What is stored in an application that did not come back cannot be removed; the phase tells, and the next drill does.
    """
    dead = [name for name, result in bench.evidence.applications.items() if not result.healthy]
    stuck = _remove_own(bench, deadline, dead)
    if stuck:
        bench.detail = f"with what did not come back stay {'; '.join(stuck)}"


def _remove_own(bench: Bench, deadline: Deadline, dead: Collection[str] = ()) -> list[str]:
    """Remove what the drill has written; return what stays of it in ``dead`` applications, in words."""
    if bench.outage.began_at is not None:
        bench.evidence.neighbours = judge_neighbours(bench)
    machine, left = bench.reconnect(deadline), list[str]()
    for what, remove in _removals(bench):
        try:
            remove(machine, deadline)
        except CommandError as error:
            left.append(f"{what} ({error})")
    stuck = bench.canaries.clear(machine, deadline)
    left += [words for name, words in stuck.items() if name not in dead]
    if left:
        raise CleanupError(
            f"On '{bench.endpoint.name}' the drill left something behind; remove it by hand: {'; '.join(left)}."
        )
    return list(stuck.values())


def _removals(bench: Bench) -> Iterator[tuple[str, Callable[[Machine, Deadline], None]]]:
    """Yield what may be on the endpoint in files of the drill's own, in words, and what removes it."""
    markers, snapshot = bench.evidence.markers, bench.evidence.snapshot
    paths = ", ".join(f"'{marker.path}'" for marker in markers)
    yield f"the markers {paths}", lambda machine, deadline: remove_markers(machine, markers, deadline)
    yield f"'{hard_folder(bench.run)}'", lambda machine, deadline: remove_hard_cases(machine, bench.run, deadline)
    if snapshot is not None and not snapshot.is_own and bench.evidence.wiped_at is not None:
        yield "what an earlier drill had left in the owner's backup", remove_restored


def stand_down(bench: Bench, deadline: Deadline) -> None:
    """Undo the preparations of a drill that ends before its wipe: the endpoint goes on as it was."""
    bench.canaries.end()
    bench.canaries.join()
    if Step.PREFLIGHT in bench.done:  # else nothing was done to it yet, and it may not even answer
        put_back(bench, deadline)


def put_back(bench: Bench, deadline: Deadline) -> None:
    """Start again on the endpoint that answers what the drill has stopped there, and remove what it left there."""
    try:
        go_on(bench, deadline, is_whole=True)
    finally:
        _remove_own(bench, deadline)
