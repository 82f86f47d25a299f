"""Jump hosts, as ``ssh -J`` and ``ProxyJump`` write them."""


def parse_jump(text: str) -> tuple[str, str, int | None]:
    """Return (user, host, port) of ``[user@]host[:port]``, '' and None where nothing is said; ValueError when wrong."""
    user, _, place = text.strip().removeprefix("ssh://").rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or host.startswith("-") or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"{text!r} is not a jump host; write it as '[user@]host[:port]'")
    return user, host, int(port) if port else None
