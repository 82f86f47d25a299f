"""The part of the fault catalogue about who an endpoint is: identities that are lost, and references to this host."""

from selftests.support.planting import at_boot, fault, no_agent

_RSA_KEY = "/etc/ssh/ssh_host_rsa_key"
_LEASES = "/var/lib/dhcp/dhclient.leases"
_DISK = "3f1b0c5e-7d52-4e0c-9a53-6d2f8c1e4b77"

IDENTITY = (
    fault(
        "a boot agent makes new host keys",
        "web-1",
        "identity_is_kept",
        "First-boot provisioning runs again; whoever declares host keys as churn gets a warning at every client.",
        f"ssh-keygen -q -t rsa -b 2048 -N '' -f {_RSA_KEY} && "
        + at_boot(f"rm {_RSA_KEY} {_RSA_KEY}.pub && ssh-keygen -q -t rsa -b 2048 -N '' -f {_RSA_KEY}"),
        heal=no_agent(f"rm {_RSA_KEY} {_RSA_KEY}.pub"),
        fleet={"churn": [f"{_RSA_KEY}*", "/etc/ssh mtime"]},
    ),
    fault(
        "the random seed is the same after every boot",
        "db-1",
        "identity_is_kept",
        "Restored and never renewed, it gives two boots the same random numbers to begin with.",
        "umask 077 && head -c 512 /dev/urandom >/var/lib/systemd/random-seed",
        heal="rm /var/lib/systemd/random-seed",
    ),
    fault(
        "a boot agent asks for an address as somebody else",
        "kv-1",
        "identity_is_kept",
        "With another DUID the endpoint gets another lease, and so another address, at its next boot.",
        f"mkdir -p /var/lib/dhcp && echo 'default-duid \"\\000\\001\\000\\001one\";' >{_LEASES} && "
        + at_boot(f"echo 'default-duid \"\\000\\001\\000\\001two\";' >{_LEASES}"),
        heal=no_agent("rm -r /var/lib/dhcp"),
        fleet={"churn": [_LEASES]},
    ),
    fault(
        "root's authorised keys lie in /root",
        "web-1",
        ("identity_is_kept", "nothing_leaks"),
        "After the redeploy nobody who was let in by them can log in: a leak that locks the door.",
        "mkdir -p -m 700 /root/.ssh && echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 alice' >/root/.ssh/authorized_keys",
    ),
)

REFERENCES = (
    fault(
        "a unit names the interface",
        "db-1",
        "nothing_is_bound_to_this_host",
        "The next host calls its first card otherwise, and the unit waits for ever for one of the old name.",
        "printf '[Service]\\nExecStart=/usr/bin/capture -i host0\\n' >/etc/systemd/system/capture.service",
        heal="rm /etc/systemd/system/capture.service",
    ),
    fault(
        "a cron job names the hardware address",
        "kv-1",
        "nothing_is_bound_to_this_host",
        "A new card, and the job reports for a machine that is not there.",
        'echo "@daily root report --mac $(cat /sys/class/net/host0/address)" >/etc/cron.d/report',
        heal="rm /etc/cron.d/report",
    ),
    fault(
        "the boot loader names a disk that a redeploy makes anew",
        "web-1",
        "nothing_is_bound_to_this_host",
        "Where disks are named is the right place; the drill shows that the disk of that name is gone.",
        f"mkdir -p /dev/disk/by-uuid && ln -s /dev/null /dev/disk/by-uuid/{_DISK} && "
        f"echo 'GRUB_CMDLINE_LINUX=\"resume=UUID={_DISK}\"' >/etc/default/grub",
        heal="rm /etc/default/grub",
    ),
    fault(
        "a licence is bound to the machine id",
        "db-1",
        "nothing_is_bound_to_this_host",
        "A second copy of the id that nobody renews with the first.",
        'echo "licensed_to = $(cat /etc/machine-id)" >/etc/shop/licence.conf',
        heal="rm /etc/shop/licence.conf",
    ),
    fault(
        "the shop's own data name the hardware address",
        "web-1",
        "nothing_is_bound_to_this_host",
        "Data are searched where the fleet file declares them; configuration always.",
        'echo "const station = \\"$(cat /sys/class/net/host0/address)\\";" >/var/www/shop/station.js',
        heal="rm /var/www/shop/station.js",
        fleet={"references": ["/var/www/shop"]},
    ),
)

IDENTITY_FAULTS = IDENTITY + REFERENCES
