"""The kill switch and the stop conditions: whatever does not clearly say 'go on' stops the drill."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from redrill.drill.guards.stops import judge_stops, require_go
from redrill.drill.waves import why_stop
from redrill.errors import StoppedError
from redrill.model.fleet import Fleet
from redrill.model.guards import Guards
from selftests.support.dripping import dripping_server


def fleet_of(folder: Path, **guards: object) -> Fleet:
    kill = {"file": str(folder / "stop"), **guards.pop("kill_switch", {})}
    parsed = Guards.model_validate({"kill_switch": kill, **guards})
    return Fleet(name="shop", source=folder / "fleet.yml", endpoints=(), guards=parsed)


def states(fleet: Fleet) -> list[str]:
    return [state.state.value for state in judge_stops(fleet)]


def test_without_a_stop_drills_go_on(tmp_path) -> None:
    fleet = fleet_of(tmp_path)
    assert states(fleet) == ["pass", "off"]
    require_go(fleet)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_whatever_lies_in_the_place_of_the_kill_switch_stops(tmp_path, make) -> None:
    make(tmp_path / "stop")
    with pytest.raises(StoppedError, match=r"kill switch: '.*/stop' exists; remove it"):
        require_go(fleet_of(tmp_path))


def test_a_kill_switch_that_cannot_be_looked_at_stops(tmp_path) -> None:
    fleet = fleet_of(tmp_path, kill_switch={"file": "/" + "x" * 300})
    assert states(fleet) == ["unknown", "off"]


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("status", "state"), [(200, "pass"), (204, "refuse"), (404, "refuse"), (500, "refuse")])
def test_only_status_200_of_the_kill_url_lets_drills_go_on(tmp_path, server, status, state) -> None:
    url = f"http://127.0.0.1:{server.server_port}/{status}"
    assert states(fleet_of(tmp_path, kill_switch={"url": url})) == ["pass", state, "off"]


def test_a_kill_url_that_does_not_answer_stops(tmp_path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        url = f"http://user:hush@127.0.0.1:{silent.server_port}/x?token=hush"
        fleet = fleet_of(tmp_path, kill_switch={"url": url, "timeout": "200ms"})
        state = judge_stops(fleet)[1]
    assert state.state.value == "unknown"
    assert "does not answer" in state.detail
    assert "hush" not in state.detail


@pytest.mark.parametrize("head", [b"", b"HTTP/1.0 200 OK\r\n"])
def test_a_kill_url_that_answers_too_slowly_stops(tmp_path, head) -> None:
    with dripping_server(head) as port:
        url = f"http://127.0.0.1:{port}/drills-allowed"
        fleet = fleet_of(tmp_path, kill_switch={"url": url, "timeout": "300ms"})
        assert states(fleet) == ["pass", "unknown", "off"]
        with pytest.raises(StoppedError, match=r"'http://127\.0\.0\.1/drills-allowed' does not answer: TimeoutError"):
            require_go(fleet)


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("true", "pass"),
        ("test -e fleet.yml", "pass"),
        ("false", "refuse"),
        ("exit 2", "unknown"),
        ("nosuch", "unknown"),
    ],
)
def test_a_stop_condition_must_say_that_all_is_well(tmp_path, command, state) -> None:
    (tmp_path / "fleet.yml").touch()
    assert states(fleet_of(tmp_path, stop_conditions=[{"run": command}])) == ["pass", state]


def test_a_stop_condition_that_hangs_stops(tmp_path) -> None:
    fleet = fleet_of(tmp_path, stop_conditions=[{"run": "sleep 60", "timeout": "200ms"}])
    assert states(fleet) == ["pass", "unknown"]


def test_no_wave_starts_once_the_kill_switch_is_set(tmp_path) -> None:
    fleet = fleet_of(tmp_path)
    assert why_stop(fleet, []) is None
    (tmp_path / "stop").touch()
    assert isinstance(why_stop(fleet, []), StoppedError)
