"""Units as they are read: links and folders instead of an answer of systemctl that takes a third of a second."""

from redrill.model.observation import Unit
from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.units import enablement, overrides, parse_unit_files

# What 'ls -ld' printed on an endpoint of the lab (Debian 12, systemd 252), with some files more.
LISTED = """\
-rw-r--r-- 1 root root    0 Nov 22 18:01 /etc/systemd/system/empty.service
-rw-r--r-- 1 root root  120 Nov 22 18:01 /etc/systemd/system/ssh.service
lrwxrwxrwx 1 root root    9 Nov 22 18:01 /etc/systemd/system/console-getty.service -> /dev/null
lrwxrwxrwx 1 root root   31 Nov 22 18:01 /etc/systemd/system/sshd.service -> /lib/systemd/system/ssh.service
lrwxrwxrwx 1 root root   38 Nov 22 18:01 /etc/systemd/system/multi-user.target.wants/postgresql@15-main.service -> \
/lib/systemd/system/postgresql@.service
lrwxrwxrwx 1 root root   33 Nov 22 18:01 /etc/systemd/system/multi-user.target.wants/nginx.service -> \
/lib/systemd/system/nginx.service
-rw-r--r-- 1 root root  163 Nov 22 18:01 /etc/systemd/system/nginx.service.d/10-lab.conf
lrwxrwxrwx 1 root root   33 Nov 22 18:01 /run/systemd/system/timers.target.wants/stock.timer -> \
/etc/systemd/system/stock.timer
lrwxrwxrwx 1 root root    9 Nov 22 18:01 /run/systemd/system/dpkg-db-backup.timer -> /dev/null
-rw-r--r-- 1 root root  163 Nov 22 18:01 /run/systemd/system/ssh.service.d/50-incident.conf
-rw-r--r-- 1 root root   99 Nov 22 18:01 /run/systemd/system/by-hand.service
-rw-r--r-- 1 root root   99 Nov 22 18:01 /run/systemd/transient/stock-sync.timer
-rw-r--r-- 1 root root  300 Nov 22 18:01 /run/systemd/generator/srv-data.mount
lrwxrwxrwx 1 root root   39 Nov 22 18:01 /run/systemd/generator/local-fs.target.wants/systemd-remount-fs.service -> \
/lib/systemd/system/systemd-remount-fs.service
-rw-r--r-- 1 root root  900 Apr 27  2026 /etc/systemd/system/stock.timer
-rw-r--r-- 1 root root 1102 Apr 27  2026 /usr/lib/systemd/system/console-getty.service
-rw-r--r-- 1 root root 1651 Apr 27  2026 /usr/lib/systemd/system/postgresql@.service
-rw-r--r-- 1 root root  522 Aug 17 07:58 /usr/lib/systemd/system/nginx.service
-rw-r--r-- 1 root root  522 Aug 17 07:58 /usr/lib/systemd/system/redis.service
-rw-r--r-- 1 root root  522 Aug 17 07:58 /usr/lib/systemd/system/ssh.service
-rw-r--r-- 1 root root  522 Aug 17 07:58 /usr/lib/systemd/system/dpkg-db-backup.timer
-rw-r--r-- 1 root root  522 Aug 17 07:58 /usr/lib/systemd/system/systemd-remount-fs.service
lrwxrwxrwx 1 root root   15 Apr 27  2026 /usr/lib/systemd/system/multi-user.target.wants/getty.target -> ../getty.target
"""
INSTALLS = "/usr/lib/systemd/system/redis.service:WantedBy=multi-user.target\n"
STATES = """\
nginx.service              loaded    active   running   A web server
stock-sync.timer           loaded    active   waiting   /bin/true
ghost.service              not-found inactive dead      ghost.service
run-r1.scope               loaded    active   running   Something
session-3.scope            loaded    active   running   Session 3 of User alice
postgresql@15-main.service loaded    active   running   PostgreSQL Cluster 15-main
srv-data.mount             loaded    active   mounted   /srv/data
"""


def states_of(listed: str, installs: str = INSTALLS) -> dict[str, str]:
    return enablement(parse_unit_files(listed), {line.partition(":")[0] for line in installs.splitlines()})


def test_links_and_folders_tell_the_state_of_every_unit_file() -> None:
    assert states_of(LISTED) == {
        "by-hand.service": "static",
        "console-getty.service": "masked",
        "dpkg-db-backup.timer": "masked-runtime",
        "empty.service": "masked",
        "nginx.service": "enabled",
        "postgresql@.service": "enabled",
        "postgresql@15-main.service": "enabled",
        "redis.service": "disabled",
        "srv-data.mount": "generated",
        "ssh.service": "enabled",
        "sshd.service": "alias",
        "stock-sync.timer": "transient",
        "stock.timer": "enabled-runtime",
        "systemd-remount-fs.service": "generated",
    }


def test_what_a_generator_masks_is_masked_at_every_boot() -> None:
    mask = "lrwxrwxrwx 1 root root 9 Nov 22 18:01 /run/systemd/generator.early/tmp.mount -> /dev/null\n"
    assert states_of(mask) == {"tmp.mount": "masked"}


def test_a_link_in_etc_to_a_unit_elsewhere_is_linked() -> None:
    link = "lrwxrwxrwx 1 root root 9 Nov 22 18:01 /etc/systemd/system/shop.service -> /srv/shop/shop.service\n"
    assert states_of(link) == {"shop.service": "linked"}


def test_overrides_are_drop_ins_and_units_before_those_of_the_vendor() -> None:
    assert dict(overrides(parse_unit_files(LISTED))) == {
        "/etc/systemd/system/nginx.service.d/10-lab.conf": "drop-in of nginx.service",
        "/etc/systemd/system/ssh.service": "instead of the vendor's ssh.service",
        "/run/systemd/system/by-hand.service": "the unit by-hand.service itself",
        "/run/systemd/system/ssh.service.d/50-incident.conf": "drop-in of ssh.service",
    }


def test_units_join_files_and_states_and_leave_out_transient_ones() -> None:
    fact = next(fact for fact in FACTS if fact.name == "units")
    units = fact.parse(f"{LISTED}\x1e\n{INSTALLS}\x1e\n{STATES}")["units"]
    assert units["nginx.service"] == Unit(enabled="enabled", active="active (running)")
    assert units["redis.service"] == Unit(enabled="disabled", active="inactive (dead)")
    assert units["ghost.service"] == Unit(enabled="none", active="inactive (dead)")
    assert units["stock-sync.timer"].enabled == "transient"
    assert not {"run-r1.scope", "session-3.scope"} & units.keys()


def test_timers_are_read_with_their_schedule_and_without_their_next_turn() -> None:
    text = (
        "TimersMonotonic={ OnUnitActiveUSec=1d ; next_elapse=0 }\n"
        "TimersMonotonic={ OnBootUSec=15min ; next_elapse=3h 48min 16.201298s }\n"
        "Id=logrotate.timer\n\n"
        "TimersCalendar={ OnCalendar=*-*-* 06:00:00 ; next_elapse=Mon 2026-11-23 06:00:00 UTC }\nId=shop.timer"
    )
    fact = next(fact for fact in FACTS if fact.name == "timers")
    assert fact.parse(text) == {
        "runtime": {
            "timers": {
                "logrotate.timer": "OnBootUSec=15min, OnUnitActiveUSec=1d",
                "shop.timer": "OnCalendar=*-*-* 06:00:00",
            }
        }
    }
