"""What a redeploy would lose, and files that belong to somebody else afterwards: two violations for every rule."""

from selftests.support.planting import fault, package

LOST = (
    fault(
        "a running process keeps its data in /opt",
        "kv-1",
        ("nothing_leaks", "units_came_back", "nothing_runs_on_borrowed_state"),
        "The application that a redeploy takes away is the one that is in use right now.",
        "mkdir -p /opt/feed && echo 1 >/opt/feed/queue && "
        "systemd-run -q --unit=feed sh -c 'exec 3</opt/feed/queue; sleep 1000'",
    ),
    fault(
        "root has left its shell history",
        "kv-1",
        "nothing_leaks",
        "The only notes of what was once done by hand are lost with it.",
        "echo 'apt install something' >/root/.bash_history",
    ),
    fault(
        "an unpacked release lies in /srv",
        "db-1",
        "nothing_leaks",
        "A release that was deployed by hand is one thing to a reader, not one for each of its files.",
        "mkdir -p /srv/release/bin /srv/release/doc && cp /bin/true /srv/release/bin/run && echo 1 >/srv/release/doc/a",
    ),
    fault(
        "a declared cache holds more than was declared",
        "db-1",
        "nothing_leaks",
        "What may be lost is what is named, not what lies beside it.",
        "mkdir -p /opt/cache && echo 1 >/opt/cache/index && echo 1 >/opt/ledger",
        fleet={"ephemeral": ["/opt/cache", "/opt/cache/**"]},
    ),
    fault(
        "a package with files in /srv was installed by hand",
        "kv-1",
        ("nothing_leaks", "package_database_tells_the_truth"),
        "The restored database says that it is there; what it owns outside the state paths is gone.",
        package("in-srv", has_files=True).replace("/var/lib/", "/srv/"),
        needs_rebuild=True,
    ),
)

OWNERS = (
    fault(
        "a system group has another number than in the image",
        "web-1",
        "uids_and_gids_mean_the_same_names",
        "dbus-daemon-launch-helper is setuid for one group only; now any other group may call it.",
        "sed -i 's/^messagebus:x:[0-9]*:/messagebus:x:990:/' /etc/group",
        needs_rebuild=True,
    ),
    fault(
        "two groups have swapped their numbers",
        "db-1",
        "uids_and_gids_mean_the_same_names",
        "A setgid program of the image runs with the rights of the other group.",
        "ssh=$(getent group _ssh | cut -d: -f3); mail=$(getent group mail | cut -d: -f3); "
        'sed -i "s/^_ssh:x:$ssh:/_ssh:x:$mail:/; s/^mail:x:$mail:/mail:x:$ssh:/" /etc/group',
        needs_rebuild=True,
    ),
    fault(
        "data belongs to a system account that was deleted",
        "kv-1",
        "uids_and_gids_mean_the_same_names",
        "The next system account gets the number, and the data with it.",
        "mkdir -p /var/lib/retired && chown 742:742 /var/lib/retired",
        heal="rm -r /var/lib/retired",
    ),
)
