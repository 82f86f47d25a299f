"""Ways to spoil a good fleet; each may return options for the run."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redrill.loader import load_fleet
from selftests.support.bad_ground import Ground
from selftests.support.guarded import TOMORROW, put_token, token_of
from selftests.support.sshd import make_key

Spoil = Callable[[Ground], Sequence[str] | None]


def whole(content: bytes) -> Spoil:
    """Put other bytes into the place of the file."""

    def spoil(ground: Ground) -> None:
        ground.fleet.write_bytes(content)

    return spoil


def recoded(encoding: str) -> Spoil:
    """Write the file in another encoding, with a letter that is not ASCII."""

    def spoil(ground: Ground) -> None:
        ground.edit("fleet: tree", "fleet: tree # é")
        ground.fleet.write_bytes(ground.fleet.read_text().encode(encoding))

    return spoil


def edit(old: str, new: str) -> Spoil:
    """Change the file in one place."""
    return lambda ground: ground.edit(old, new)


def top(line: str) -> Spoil:
    """Say something more in the file."""
    return edit("environment: lab", f"environment: lab\n{line}")


def guards(line: str) -> Spoil:
    """Say something more under 'guards'."""
    return edit("  kill_switch:", f"  {line}\n  kill_switch:")


def endpoint(words: str) -> Spoil:
    """Say something more of an endpoint."""
    return edit("oak-1: {role: app", f"oak-1: {{role: app, {words}")


def chosen(*options: str) -> Spoil:
    """Leave the file as it is, and run with other options."""
    return lambda _: options


def twin_directory(ground: Ground) -> None:
    """Let two endpoints be one directory."""
    elm = ground.root("elm-1").parent
    elm.rename(elm.with_name("felled"))
    elm.symlink_to(ground.root("oak-1").parent)


def twin_machine(ground: Ground) -> None:
    """Let two endpoints have one machine-id."""
    ours = ground.root("oak-1") / "etc/machine-id"
    (ground.root("elm-1") / "etc/machine-id").write_text(ours.read_text())


def far(address: str) -> Spoil:
    """Let the endpoint be at another address."""
    return lambda ground: ground.far(address)


def unpinned(ground: Ground) -> None:
    """Let the known_hosts file be missing."""
    ground.far(is_behind_itself=True)


def key(*options: str, mode: int = 0o600, name: str = "id") -> Spoil:
    """Log in with another key."""

    def spoil(ground: Ground) -> None:
        make_key(ground.folder / "id", *options)
        (ground.folder / "id").chmod(mode)
        ground.far(key=name)

    return spoil


def known(*lines: str) -> Spoil:
    """Pin host keys: HOST stands for the server's name, KEY for its key, OTHER for another one."""

    def spoil(ground: Ground) -> None:
        ground.far(is_behind_itself=True)
        text = "".join(f"{line}\n" for line in lines).replace("HOST", f"[127.0.0.1]:{ground.sshd.port}")
        text = text.replace("KEY", ground.sshd.host_key).replace("OTHER", make_key(ground.folder / "other"))
        (ground.folder / "known").write_text(text)

    return spoil


def hashed(ground: Ground) -> None:
    """Pin another key, under a hashed name."""
    known("HOST OTHER")(ground)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", ground.folder / "known"], capture_output=True, check=True)


def ticket(check: str) -> Spoil:
    """Ask for a change ticket that a command checks, and give one."""

    def spoil(ground: Ground) -> Sequence[str]:
        guards(f"change: {{pattern: 'CHG-[0-9]+', check: {check}}}")(ground)
        return ("--change", "CHG-1")

    return spoil


def linked_state(ground: Ground) -> Sequence[str]:
    """Let a state path be a link to somewhere else."""
    home = ground.root("oak-1") / "home"
    home.rename(ground.root("oak-1") / "srv-home")
    home.symlink_to("srv-home")
    return ("--endpoint", "oak-1")


def mounted(ground: Ground) -> Sequence[str]:
    """Let a state path be a file system of its own."""
    ground.mount("oak-1", "home")
    return ("--endpoint", "oak-1")


def skipped_hour(ground: Ground) -> None:
    """Allow drills only in an hour that the clocks have just skipped."""
    change = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=20)
    ground.zone("Gap", change)
    start, end = (f"{change + timedelta(minutes=minutes):%H:%M}" for minutes in (5, 55))
    ground.edit("  kill_switch:", f"  windows: [{{from: '{start}', to: '{end}', zone: Gap}}]\n  kill_switch:")


def changed_plan(ground: Ground) -> Sequence[str]:
    """Change the fleet after its plan was made."""
    ground.guard()
    options = ground.plan()
    ground.edit("tags: [small]", "tags: [large]")
    return options


def altered_plan(ground: Ground) -> Sequence[str]:
    """Confirm another hash than that of the plan."""
    ground.guard()
    *options, plan = ground.plan()
    return (*options, plan[:-4] + ("0000" if not plan.endswith("0000") else "1111"))


def old_plan(ground: Ground) -> Sequence[str]:
    """Confirm a plan of two hours ago."""
    ground.guard()
    return ground.plan(timedelta(hours=2))


def token(change: Callable[[Ground, Path], object]) -> Spoil:
    """Do something to the token of an endpoint, of which a fresh plan was confirmed before."""

    def spoil(ground: Ground) -> Sequence[str]:
        ground.guard()
        options = ground.plan()
        change(ground, ground.root("oak-1") / "etc/redrill/allow")
        return options

    return spoil


def expire(ground: Ground, _file: Path) -> None:
    """Let a token be of yesterday."""
    put_token(ground.folder, "oak-1", token_of(load_fleet(ground.fleet), "oak-1", TOMORROW - timedelta(days=2)))


def borrow(ground: Ground, file: Path) -> None:
    """Put the token of another endpoint."""
    file.write_text((ground.root("elm-1") / "etc/redrill/allow").read_text())


def open_up(_ground: Ground, file: Path) -> None:
    """Let everybody write a token."""
    file.chmod(0o666)
