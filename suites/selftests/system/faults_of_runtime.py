"""The part of the fault catalogue that lives in memory, or that a boot agent does to what is more than files."""

from datetime import UTC, datetime, timedelta

from selftests.support.certificates import make_certificate
from selftests.support.planting import at_boot, fault, no_agent

BORROWED = "nothing_runs_on_borrowed_state"


def service(name: str, *more: str) -> str:
    """Plant a unit in /etc that does nothing for ever."""
    lines = "\\n".join(("[Service]", "ExecStart=/bin/sleep infinity", *more))
    return f"printf '{lines}\\n' >/etc/systemd/system/{name}.service && systemctl daemon-reload"


def no_service(name: str) -> str:
    """Remove the unit of ``service``."""
    return f"rm -f /etc/systemd/system/{name}.*; systemctl daemon-reload"


def certificate(days: int) -> str:
    """Return a certificate in PEM that ends in so many days."""
    return make_certificate("shop.example", datetime.now(UTC) + timedelta(days=days))


UNITS = (
    fault(
        "a service was enabled until the next boot",
        "web-1",
        ("units_came_back", BORROWED),
        "'systemctl is-enabled' says 'enabled-runtime', which everybody reads as 'enabled'.",
        service("stock-feed", "[Install]", "WantedBy=multi-user.target")
        + " && systemctl -q enable --runtime --now stock-feed",
        heal=no_service("stock-feed"),
    ),
    fault(
        "a limit of a service was raised below /run",
        "db-1",
        ("units_came_back", BORROWED),
        "'systemctl edit --runtime' and 'set-property --runtime' mend an incident until the next boot.",
        "mkdir -p /run/systemd/system/ssh.service.d && printf '[Service]\\nLimitNOFILE=65536\\n' "
        ">/run/systemd/system/ssh.service.d/50-incident.conf && systemctl daemon-reload",
    ),
    fault(
        "a timer was masked until the next boot",
        "kv-1",
        ("units_came_back", BORROWED),
        "What was silenced during an incident starts again by itself, and nobody remembers why it was silenced.",
        "systemctl -q mask --runtime dpkg-db-backup.timer",
    ),
    fault(
        "a job was handed to systemd-run",
        "kv-1",
        ("units_came_back", BORROWED),
        "It looks like a timer in every list, and no file describes it.",
        "systemd-run -q --unit=stock-sync --on-calendar=hourly /bin/true",
    ),
    fault(
        "a timer was stopped by hand",
        "db-1",
        "units_came_back",
        "The redeploy starts it again: what it was stopped for happens then.",
        service("stock-report") + " && printf '[Timer]\\nOnCalendar=yearly\\n[Install]\\nWantedBy=timers.target\\n' "
        ">/etc/systemd/system/stock-report.timer && systemctl -q enable stock-report.timer",
        heal="systemctl -q disable --now stock-report.timer; " + no_service("stock-report"),
    ),
)

ACCOUNTS = (
    fault(
        "a boot agent lets a user become root without a password",
        "web-1",
        "accounts_came_back",
        "Rules for sudo are compared by themselves: declaring their files as churn does not hide a new one.",
        at_boot("mkdir -p /etc/sudoers.d; echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/support"),
        heal=no_agent("rm -r /etc/sudoers.d"),
        fleet={"churn": ["/etc/sudoers.d", "/etc/sudoers.d/**", "/etc mtime"]},
    ),
    fault(
        "a boot agent adds a user to a group",
        "db-1",
        "accounts_came_back",
        "Membership is access, and it is neither a new user nor a new group.",
        at_boot("sed -i 's/^adm:.*:$/&postgres/' /etc/group"),
        heal=no_agent("sed -i 's/^\\(adm:.*:\\)postgres$/\\1/' /etc/group"),
        fleet={"churn": ["/etc/group content", "/etc mtime"]},
    ),
)

NETWORK = (
    fault(
        "rules of the firewall were loaded by hand",
        "kv-1",
        ("network_came_back", BORROWED),
        "The port that was closed in a hurry is open again after every boot.",
        "nft 'add table inet incident' && "
        "nft 'add chain inet incident guests { type filter hook input priority 0; policy accept; }' && "
        "nft 'add rule inet incident guests ip saddr 192.0.2.0/24 tcp dport 6379 drop'",
    ),
    fault(
        "a rule was added to a firewall that is configured",
        "db-1",
        "network_came_back",
        "The rules of the file come back, and the one that somebody added does not.",
        "cp -p /etc/nftables.conf /etc/nftables.orig && printf '%s\\n' 'table inet shop {' "
        "' chain input { type filter hook input priority 0; policy accept; }' '}' >/etc/nftables.conf && "
        "systemctl -q enable --now nftables && nft 'add rule inet shop input tcp dport 9 drop'",
        heal="systemctl -q disable --now nftables; mv /etc/nftables.orig /etc/nftables.conf",
    ),
    fault(
        "a route was added by hand",
        "web-1",
        ("network_came_back", BORROWED),
        "The other site is reached until the next boot.",
        "ip route add 192.0.2.0/24 dev host0",
    ),
    fault(
        "an address was added by hand",
        "kv-1",
        "network_came_back",
        "Clients that were pointed to it reach nobody after the redeploy.",
        "ip address add 192.0.2.10/32 dev host0",
    ),
    fault(
        "the name servers stand below /run",
        "web-1",
        "network_came_back",
        "The link comes back with /etc, what it leads to does not.",
        "mkdir -p /run/resolver && echo 'nameserver 192.0.2.53' >/run/resolver/resolv.conf && "
        "ln -sf /run/resolver/resolv.conf /etc/resolv.conf",
        heal="rm /etc/resolv.conf && touch /etc/resolv.conf",
    ),
)

KERNEL = (
    fault(
        "a kernel parameter was set against its file",
        "kv-1",
        ("kernel_state_came_back", BORROWED),
        "The file is what people review, the kernel is what runs.",
        "echo 'net.ipv4.tcp_keepalive_time = 7200' >/etc/sysctl.d/50-shop.conf && "
        "sysctl -qw net.ipv4.tcp_keepalive_time=600",
        heal="rm /etc/sysctl.d/50-shop.conf",
    ),
    fault(
        "a disk was mounted by hand",
        "db-1",
        ("kernel_state_came_back", BORROWED),
        "After the next boot the same path is an empty folder, and programs write to it all the same.",
        "mount -t tmpfs -o mode=755 scratch /mnt",
    ),
)

ENVIRONMENT = (
    fault(
        "a proxy was given to the service manager by hand",
        "web-1",
        "environment_came_back",
        "Services that were restarted since have it, and lose it with the next boot.",
        "systemctl set-environment https_proxy=http://192.0.2.8:3128",
    ),
    fault(
        "default limits were raised below /run",
        "kv-1",
        "environment_came_back",
        "Every service that starts from now on has other limits than after the next boot.",
        "mkdir -p /run/systemd/system.conf.d && printf '[Manager]\\nDefaultLimitNOFILE=4096:65536\\n' "
        ">/run/systemd/system.conf.d/50-incident.conf && systemctl daemon-reexec",
    ),
    fault(
        "a boot agent sets another time zone",
        "db-1",
        "environment_came_back",
        "Declaring the link as churn does not hide that the clock in logs and jobs is another one.",
        at_boot("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime"),
        heal=no_agent("ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime"),
        fleet={"churn": ["/etc/localtime", "/etc mtime"]},
    ),
    fault(
        "a certificate has expired",
        "kv-1",
        "certificates_are_valid",
        "It is restored faithfully, and no client accepts it.",
        f"mkdir /etc/shop/tls && cat >/etc/shop/tls/shop.pem <<'END'\n{certificate(-3)}END",
        heal="rm -r /etc/shop/tls",
    ),
    fault(
        "a certificate expires within a week",
        "web-1",
        "certificates_are_valid",
        "The day on which nobody can log in is known in advance.",
        f"cat >/etc/ssl/certs/shop.crt <<'END'\n{certificate(7)}END",
        heal="rm /etc/ssl/certs/shop.crt",
    ),
)

IMAGES = "/var/lib/containers/storage/overlay-images"
PULLED = '[{"id": "4711", "names": ["shop.example/till:1.4"]}]'

PACKAGES = (
    fault(
        "a boot agent throws away a container image",
        "web-1",
        "packages_are_as_before",
        "The next start of its container pulls whatever is at the registry by then.",
        f"mkdir -p {IMAGES} && echo '{PULLED}' >{IMAGES}/images.json && " + at_boot(f"echo '[]' >{IMAGES}/images.json"),
        heal=no_agent("rm -r /var/lib/containers"),
        fleet={"churn": ["/var/lib/containers/** content"]},
    ),
)

IN_MEMORY = UNITS + ACCOUNTS + NETWORK + KERNEL + ENVIRONMENT + PACKAGES
"""All of them."""
