"""Logging: what the endpoint says reaches the log sink, before and after, under its own name and boot."""

import pytest

from redrill.errors import UnknownFactError
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord, LogMessage
from redrill_suites.messages import tell

pytestmark = pytest.mark.redrill_requires("logging")

NOT_FORWARDED = "look at the forwarder on the endpoint (enabled, running, its target) and at the sink."


def message_of(record: DrillRecord, *stages: str) -> LogMessage:
    for message in record.messages:
        if message.stage in stages:
            if message.unknown:
                raise UnknownFactError(f"The log sink of '{record.endpoint}' could not be read: {message.unknown}")
            return message
    raise UnknownFactError(f"No message {' or '.join(stages)} was sent by '{record.endpoint}'.")


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_message_before_the_wipe_is_at_the_sink(record: DrillRecord, endpoint: Endpoint) -> None:
    message = message_of(record, "before")
    lost = [] if message.arrived else [f"nonce {message.nonce} of boot {message.boot_id}"]
    assert not lost, tell(endpoint.name, "the message sent before the wipe is not at the sink", lost, NOT_FORWARDED)


@pytest.mark.redrill_severity("critical")
def test_endpoint_logs_to_the_sink_now(record: DrillRecord, endpoint: Endpoint) -> None:
    message = message_of(record, "after", "present")
    lost = [] if message.arrived else [f"boot {message.boot_id}"]
    assert not lost, tell(endpoint.name, "the sink hears nothing of the current boot", lost, NOT_FORWARDED)


@pytest.mark.redrill_requires("drill")
def test_messages_carry_host_and_boot(record: DrillRecord, endpoint: Endpoint) -> None:
    sent = [message_of(record, stage) for stage in ("before", "after")]
    wrong = [
        f"message {m.stage}: sent as {m.hostname!r} boot {m.boot_id}, "
        f"at the sink as {m.arrived_hostname!r} boot {m.arrived_boot_id}"
        for m in sent
        if m.arrived and (m.arrived_hostname, m.arrived_boot_id) != (m.hostname, m.boot_id)
    ]
    advice = "the sink must attribute by what the sender's journal says; look at the relay in between."
    assert not wrong, tell(endpoint.name, "messages are attributed to another host or boot", wrong, advice)
