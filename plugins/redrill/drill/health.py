"""Health checks of applications: asked from the controller (http, tcp) or on the endpoint (command)."""

import socket

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.machine.web import UNANSWERED, get
from redrill.model.application import Application
from redrill.model.checks import CommandCheck, HttpCheck, TcpCheck
from redrill.model.deadline import Deadline
from redrill.model.recovery import CheckResult

CHECK_SECONDS = 5.0
"""No single answer of a health check may take longer."""


def check_application(machine: Machine, address: str, application: Application) -> tuple[CheckResult, ...]:
    """Return the answer of every declared check, now; a check that cannot be asked is not healthy and says why."""
    results = []
    if application.http:
        results.append(_check_http(address, application.http))
    if application.tcp:
        results.append(_check_tcp(address, application.tcp))
    if application.command:
        results.append(_check_command(machine, application.command))
    return tuple(results)


def _check_http(address: str, check: HttpCheck) -> CheckResult:
    name = f"http{'s' if check.tls else ''} {check.port}{check.path}"
    try:
        status, body = get(
            address, check.port, check.path, Deadline.after(CHECK_SECONDS), is_tls=check.tls, most=1 << 20
        )
    except UNANSWERED as error:
        return CheckResult(check=name, healthy=False, detail=f"{type(error).__name__}: {error}")
    if status != check.status:
        return CheckResult(check=name, healthy=False, detail=f"status {status}, expected {check.status}")
    if check.expect.encode() not in body:
        return CheckResult(check=name, healthy=False, detail=f"body {body[:200]!r} lacks {check.expect!r}")
    return CheckResult(check=name, healthy=True, detail=f"status {status}")


def _check_tcp(address: str, check: TcpCheck) -> CheckResult:
    name = f"tcp {check.port}"
    try:
        socket.create_connection((address, check.port), CHECK_SECONDS).close()
    except OSError as error:
        return CheckResult(check=name, healthy=False, detail=f"{type(error).__name__}: {error}")
    return CheckResult(check=name, healthy=True, detail="connected")


def _check_command(machine: Machine, check: CommandCheck) -> CheckResult:
    try:
        result = machine.run(check.run, Deadline.after(CHECK_SECONDS))
    except MachineError as error:
        return CheckResult(check=check.run, healthy=False, detail=str(error))
    if result.exit_status != 0:
        words = (result.stderr or result.stdout).decode("utf-8", "replace").strip()[-200:]
        return CheckResult(check=check.run, healthy=False, detail=f"exit status {result.exit_status}: {words}")
    if check.expect not in result.text:
        return CheckResult(check=check.run, healthy=False, detail=f"{result.text[:200]!r} lacks {check.expect!r}")
    return CheckResult(check=check.run, healthy=True, detail=result.text[:200])
