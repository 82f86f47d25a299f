"""Endpoints of a lab as a fleet that knows no provisioner, no image and no backup of them: the first adoption."""

import json
from pathlib import Path

import yaml

from redrill.loader import load_fleet
from selftests.support.labs import provisioner_of

_MANAGED = ("provisioner", "image", "day1", "repository", "log_sink", "applications", "neighbours", "churn")


def unmanaged_fleet(lab: Path, file: Path) -> Path:
    """Write the fleet file of a running lab as its owner would who only has addresses, keys and host keys."""
    fleet, document = load_fleet(lab), yaml.safe_load(lab.read_text())
    ssh = document["defaults"]["ssh"]
    for part in (document["defaults"], *document["roles"].values()):
        for key in _MANAGED:
            part.pop(key, None)
    for name, endpoint in document["endpoints"].items():
        location = provisioner_of(fleet, name).locate()
        assert location is not None, f"{name} does not run"
        endpoint["ssh"] = {**ssh, "host_keys": list(location.host_keys)}
    file.write_text(json.dumps(document, indent=1))
    return file
