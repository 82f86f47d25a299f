"""What the owner's configuration management would change: violations that come back with the backup."""

from pathlib import Path

from selftests.support.planting import fault

WANTED_STATE = {"desired_state": {"playbook": str(Path(__file__).with_name("site.yml"))}}

UNDONE = (
    fault(
        "a directory has lost the permissions that its owner declares",
        "web-1",
        "configuration_management_would_change_nothing",
        "The drill brings back what was backed up, faithfully; only the owner's own tool knows that it was wrong.",
        "chmod 0700 /etc/nginx/sites-available",
        heal="chmod 0755 /etc/nginx/sites-available",
        fleet=WANTED_STATE,
    ),
    fault(
        "a user has another shell than its owner declares",
        "web-1",
        "configuration_management_would_change_nothing",
        "Changed by hand, backed up, restored: it survives every redeploy and is nowhere in the code.",
        "usermod --shell /bin/sh alice",
        heal="usermod --shell /bin/bash alice",
        fleet=WANTED_STATE,
    ),
)
