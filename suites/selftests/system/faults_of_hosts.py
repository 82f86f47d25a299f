"""The part of the fault catalogue that stands on the endpoints: done by hand before, or done by themselves at boot."""

from selftests.support.planting import at_boot, fault, no_agent, package

BY_HAND = (
    fault(
        "a key file in /opt",
        "web-1",
        "nothing_leaks",
        "The classic: a licence or key that only this one machine has.",
        "mkdir /opt/vendor && echo 4711 >/opt/vendor/licence.key",
    ),
    fault(
        "a script in /usr/local/bin",
        "db-1",
        "nothing_leaks",
        "Home-made tools gather there, and no backup has them.",
        "printf '#!/bin/sh\\n' >/usr/local/bin/nightly-dump && chmod 755 /usr/local/bin/nightly-dump",
    ),
    fault(
        "a private key in /root",
        "kv-1",
        "nothing_leaks",
        "/root looks like a home directory but is not below /home.",
        "mkdir -p /root/.ssh && echo secret >/root/.ssh/id_replica",
    ),
    fault(
        "a vendor file in /usr was edited",
        "kv-1",
        "system_was_not_changed_by_hand",
        "The next redeploy undoes the edit silently, and with it whatever it had mended.",
        "echo LimitNOFILE=100000 >>/usr/lib/systemd/system/redis-server.service",
    ),
    fault(
        "a program was made set-user-id",
        "db-1",
        "system_was_not_changed_by_hand",
        "Neither mode nor owner are seen by the package manager's own check.",
        "chmod 4755 /usr/bin/perl",
    ),
    fault(
        "a file of the image was deleted",
        "web-1",
        "system_was_not_changed_by_hand",
        "What is missing is as much drift as what is new.",
        "rm /usr/share/doc/nginx-light/copyright",
    ),
    fault(
        "a service was started but not enabled",
        "db-1",
        "units_came_back",
        "It runs until the first reboot, and so long everybody believes that it is installed.",
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >/etc/systemd/system/stock.service && "
        "systemctl daemon-reload && systemctl start stock",
        heal="rm /etc/systemd/system/stock.service && systemctl daemon-reload",
    ),
    fault(
        "a unit fails at every boot",
        "kv-1",
        "no_unit_has_failed",
        "It failed before as well, so nothing has changed; degraded is still not healthy.",
        "printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n' "
        ">/etc/systemd/system/import.service && systemctl -q enable import && ! systemctl -q start import",
        heal="systemctl -q disable import; rm /etc/systemd/system/import.service; systemctl daemon-reload; "
        "systemctl reset-failed",
    ),
    fault(
        "a port is served by a process of nobody's",
        "web-1",
        ("network_came_back", "nothing_runs_on_borrowed_state"),
        "Started from a shell, it belongs to no unit; nothing will start it again.",
        "setsid perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 8081) or die; "
        "sleep 600' </dev/null >/dev/null 2>&1 &",
    ),
    fault(
        "a kernel parameter was set by hand",
        "db-1",
        "kernel_state_came_back",
        "Routing, queues and limits tuned in a crisis are gone with the kernel's memory of them.",
        "sysctl -qw net.ipv4.ip_forward=1",
    ),
    fault(
        "a package was installed by hand",
        "web-1",
        "package_database_tells_the_truth",
        "Its record comes back with /var, its programs do not: the database then lies to every scanner.",
        package("stock-sync", has_files=True),
        heal="dpkg --purge stock-sync",
    ),
    fault(
        "a tool that is needed to look is broken",
        "kv-1",
        "everything_could_be_read",
        "What could not be observed is unknown, and unknown never reads as clean.",
        "mkdir -p /etc/tools && printf '#!/bin/sh\\nexit 1\\n' >/etc/tools/uname && chmod 755 /etc/tools/uname && "
        "cp -a /etc/environment /etc/tools/ && "
        "echo PATH=/etc/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin >>/etc/environment",
        heal="cp -a /etc/tools/environment /etc/environment && rm -r /etc/tools",
    ),
)

AT_BOOT = (
    fault(
        "a boot agent lets everybody write a file",
        "db-1",
        "home_etc_and_var_stay_as_restored",
        "The restore was right; the first boot undid it.",
        at_boot("chmod 666 /etc/postgresql/15/main/pg_hba.conf"),
        heal=no_agent("chmod 640 /etc/postgresql/15/main/pg_hba.conf"),
    ),
    fault(
        "a boot agent rewrites a configuration file",
        "kv-1",
        ("home_etc_and_var_stay_as_restored", "network_came_back"),
        "First-boot provisioning that runs again after a restore overwrites what was decided since.",
        at_boot("echo 'nameserver 192.0.2.1' >>/etc/resolv.conf"),
        heal=no_agent(": >/etc/resolv.conf"),
    ),
    fault(
        "a boot agent takes a user's file away from its owner",
        "web-1",
        "home_etc_and_var_stay_as_restored",
        "Ownership travels as a number; an image that renumbers its users does exactly this.",
        at_boot("chown 0:0 /home/alice/first"),
        heal=no_agent("chown alice:alice /home/alice/first"),
    ),
    fault(
        "a boot agent drops an access list",
        "web-1",
        "home_etc_and_var_stay_as_restored",
        "Content, mode and owner are all right, and yet the web server cannot read the files any more.",
        at_boot("setfacl -b /home/alice/shared"),
        heal=no_agent("setfacl -m u:www-data:rx -m d:u:www-data:rx /home/alice/shared"),
    ),
    fault(
        "a boot agent cleans up in /var",
        "db-1",
        "home_etc_and_var_stay_as_restored",
        "A spool is data, whatever a clean-up job thinks of it.",
        "mkdir -p /var/spool/orders && echo 1 >/var/spool/orders/1 && " + at_boot("rm /var/spool/orders/1"),
        heal=no_agent("rm -r /var/spool/orders"),
    ),
    fault(
        "a boot agent replaces a file of the image",
        "kv-1",
        "system_equals_the_image",
        "An updater that runs at boot makes every redeploy another system.",
        at_boot("echo '# patched' >>/usr/lib/systemd/system/redis-server.service"),
        heal=no_agent("sed -i '/# patched/d' /usr/lib/systemd/system/redis-server.service"),
    ),
    fault(
        "a boot agent overwrites what was restored to /home",
        "db-1",
        "survivors_in_the_state_paths_came_back",
        "The markers that prove the restore hold another content than before the wipe.",
        at_boot("for file in /home/.redrill-survivor-*; do echo gone >$file; done"),
        heal=no_agent(),
    ),
    fault(
        "a boot agent makes up a new machine id",
        "kv-1",
        ("identity_came_back", "identity_is_kept"),
        "Even where somebody has declared the file as churn, an endpoint that comes back as another one is told.",
        # The uploader looks for the journal by the machine id when it starts, so it must have started.
        at_boot(
            "until systemctl -q is-active systemd-journal-upload; do sleep 0.1; done; sleep 2; "
            "od -An -N16 -tx1 /dev/urandom | tr -d ' \\n' >/etc/machine-id; echo >>/etc/machine-id"
        ),
        heal=no_agent(),
        fleet={"churn": ["/etc/machine-id content"]},
        needs_rebuild=True,
    ),
    fault(
        "a boot agent adds a user",
        "kv-1",
        "accounts_came_back",
        "Accounts are compared by themselves: declaring /etc/passwd as churn does not hide a new one.",
        at_boot("echo 'support:x:0:0::/root:/bin/sh' >>/etc/passwd"),
        heal=no_agent("sed -i /^support:/d /etc/passwd"),
        fleet={"churn": ["/etc/passwd content"]},
    ),
    fault(
        "a boot agent adds a group",
        "web-1",
        "accounts_came_back",
        "Membership is access; declaring /etc/group as churn does not hide a new group.",
        at_boot("echo 'docker:x:990:alice' >>/etc/group"),
        heal=no_agent("sed -i /^docker:/d /etc/group"),
        fleet={"churn": ["/etc/group content"]},
    ),
    fault(
        "a boot agent removes a package",
        "web-1",
        "packages_are_as_before",
        "The set of packages is compared by itself: declaring the database as churn does not hide a change.",
        package("stock-agent", has_files=False) + " && " + at_boot("dpkg --purge stock-agent"),
        heal=no_agent(),
        fleet={"churn": ["/var/lib/dpkg/**", "/var/lib/dpkg mtime"]},
    ),
)
