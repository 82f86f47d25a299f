"""What programs find around them: time, locale, the service manager's environment, limits, container images."""

import hashlib
import json
import re
from typing import Any

from redrill.probes.facts.fact import Fact
from redrill.probes.facts.volatile import settle_items

# Asking timedatectl would start a service; systemd-timesyncd leaves a file when the clock is right, chrony answers.
_TIME = """
if [ -L "$ROOT/etc/localtime" ]; then echo "zone $(readlink "$ROOT/etc/localtime")"
elif [ -f "$ROOT/etc/localtime" ]; then echo "zone $(sha256sum <"$ROOT/etc/localtime")"; fi
[ ! -f "$ROOT/etc/adjtime" ] || sed -n '3s/^/hardware-clock /p' "$ROOT/etc/adjtime"
[ -z "$ROOT" ] || exit 0
if [ -e /run/systemd/timesync/synchronized ]; then echo synchronised yes
elif [ -S /run/chrony/chronyd.sock ]; then
  chronyc -n tracking | grep -q '^Leap status *: Normal' && echo synchronised yes || echo synchronised no
else echo synchronised no; fi
"""
_LOCALE = """
for file in "$ROOT/etc/default/locale" "$ROOT/etc/locale.conf" "$ROOT/etc/vconsole.conf"; do
  [ ! -f "$file" ] || grep -E '^[A-Z_]+=' "$file"
done
exit 0
"""
_MANAGER = "systemctl show-environment"
_LIMITS = r"""
grep -hsE '^ *[^# ]' /etc/security/limits.conf /etc/security/limits.d/*.conf
printf '\036\n'; systemctl show | grep -E '^Default(Limit|TasksMax=|[A-Za-z]*Accounting=)'
printf '\036\n'; sed 1d /proc/1/limits
"""
# Asking podman or docker would write to their storage; these are the indexes that they keep of it.
_IMAGES = r"""
for file in /var/lib/containers/storage/overlay-images/images.json /var/lib/docker/image/*/repositories.json; do
  if [ -f "$file" ]; then cat "$file" && printf '\036\n' || exit 1; fi
done
exit 0
"""
_PLAIN = re.compile(r"LANG|LANGUAGE|LC_\w+|PATH|TZ|TERM|HOME|SHELL|EDITOR|XDG_\w+")


def _parse_time(text: str) -> dict[str, Any]:
    values = dict(line.split(" ", 1) for line in text.splitlines())
    if "zone" in values:
        values["zone"] = values["zone"].rpartition("zoneinfo/")[2]
    return {"runtime": {"time": settle_items("time", values)}}


def _parse_locale(text: str) -> dict[str, Any]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {"runtime": {"locale": settle_items("locale", {key: value.strip("\"'") for key, _, value in pairs})}}


def _parse_manager(text: str) -> dict[str, Any]:
    """Return the variables that the service manager gives to services; unless harmless by name, values are hashed."""
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        digest = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
        values[name] = value if _PLAIN.fullmatch(name) else f"sha256:{digest[:16]}"
    return {"runtime": {"manager environment": settle_items("manager environment", values)}}


def _parse_limits(text: str) -> dict[str, Any]:
    """Return limits.conf(5), the defaults of systemd and the limits of process 1 (proc(5)) in one mapping."""
    configured, defaults, first = text.split("\x1e\n")
    values = {}
    for row in (line.split() for line in configured.splitlines()):
        if len(row) >= 4:
            values[" ".join(row[:3])] = row[3]
    for line in defaults.splitlines():
        name, _, value = line.partition("=")
        values[f"systemd {name}"] = value
    for row in (re.split(r" {2,}", line.strip()) for line in first.splitlines()):
        values[f"pid 1 {row[0]}"] = " ".join(row[1:3])
    return {"runtime": {"limits": settle_items("limits", values)}}


def _parse_images(text: str) -> dict[str, Any]:
    """Return the digest of every pulled image by name, from podman's images.json and docker's repositories.json."""
    images: dict[str, str] = {}
    for block in filter(str.strip, text.split("\x1e")):
        index = json.loads(block)
        if isinstance(index, dict):
            for names in index["Repositories"].values():
                images |= {name: digest for name, digest in names.items() if "@" not in name}
        else:
            images |= {name: image["id"] for image in index for name in image.get("names") or ()}
    return {"runtime": {"container images": settle_items("container images", images)}}


ENVIRONMENT_FACTS = (
    Fact("time", _TIME, _parse_time),
    Fact("locale", _LOCALE, _parse_locale),
    Fact("manager environment", _MANAGER, _parse_manager, needs_init=True),
    Fact("limits", _LIMITS, _parse_limits, needs_init=True),
    Fact("container images", _IMAGES, _parse_images, needs_init=True),
)
"""What no program asks for and every program depends on."""
