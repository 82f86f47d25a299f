"""The log sink that systemd-journal-remote writes: read on the sink itself with journalctl."""

import json
import shlex
import threading
from collections.abc import Sequence

from redrill.collectors.protocol import Arrival, Reach
from redrill.errors import FleetError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.values import Value

_FIELDS = "MESSAGE,_HOSTNAME,_BOOT_ID,_MACHINE_ID"


class JournalRemoteCollector:
    """Reads the journals of a sink endpoint of the same fleet, over its own pinned host key."""

    class Settings(Value):
        """Which endpoint is the sink and where its journals are."""

        endpoint: str
        directory: str = "/var/log/journal/remote"

    def __init__(self, fleet: Fleet, endpoint: Endpoint, reach: Reach) -> None:
        self._settings = self.Settings.model_validate(endpoint.log_sink.settings if endpoint.log_sink else {})
        try:
            self._sink = fleet.endpoint(self._settings.endpoint)
        except KeyError:
            known = ", ".join(f"'{known.name}'" for known in fleet.endpoints)
            message = f"the log sink '{self._settings.endpoint}' is no endpoint of the fleet; it has {known}"
            raise FleetError(f"{fleet.source}: endpoint '{endpoint.name}': {message}.") from None
        self._reach = reach
        self._machine: Machine | None = None
        self._lock = threading.Lock()

    def find(self, nonces: Sequence[str], deadline: Deadline) -> list[Arrival]:
        """Return each entry of redrill's at the sink whose message contains one of the nonces."""
        arrivals = []
        for entry in self._read("SYSLOG_IDENTIFIER=redrill", deadline):
            message = str(entry.get("MESSAGE", ""))
            arrivals += [
                Arrival(nonce, str(entry.get("_HOSTNAME", "")), str(entry.get("_BOOT_ID", "")))
                for nonce in nonces
                if nonce in message
            ]
        return arrivals

    def boots_seen(self, hostname: str, deadline: Deadline) -> set[str]:
        """Return the boot ids of a host's entries of the last hour."""
        entries = self._read(f"_HOSTNAME={hostname} --since=-1h", deadline)
        return {str(entry["_BOOT_ID"]) for entry in entries if "_BOOT_ID" in entry}

    def close(self) -> None:
        """Drop the connection to the sink."""
        with self._lock:
            if self._machine is not None:
                self._machine.close()
                self._machine = None

    def _read(self, match: str, deadline: Deadline) -> list[dict[str, object]]:
        directory = shlex.quote(self._settings.directory)
        words = " ".join(map(shlex.quote, match.split(" ")))
        command = (
            f"journalctl --directory={directory} --output=json --output-fields={_FIELDS} --no-pager --quiet {words}"
        )
        # --quiet prints nothing and exits with 0 when a match finds nothing; a missing directory exits with 1.
        text = self._connect(deadline).run(command, deadline).checked().text
        return [json.loads(line) for line in text.splitlines()]

    def _connect(self, deadline: Deadline) -> Machine:
        with self._lock:
            if self._machine is None:
                self._machine = self._reach(self._sink, deadline)
            return self._machine
