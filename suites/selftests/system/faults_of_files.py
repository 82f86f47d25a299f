"""Faults in what a file is besides its content: the flags of chattr, ACLs, capabilities."""

from selftests.support.planting import at_boot, fault, no_agent

OF_FILES = (
    fault(
        "a program was made immutable",
        "db-1",
        "system_was_not_changed_by_hand",
        "Somebody did not trust the updates; after the redeploy they run over it again.",
        "chattr +i /usr/bin/tar",
    ),
    fault(
        "a file loses the flag that protects it",
        "kv-1",
        "home_etc_and_var_stay_as_restored",
        "The backup knows that it must not change, the running system lets everybody's scripts change it.",
        "echo fixed >/etc/fixed && chattr +i /etc/fixed && " + at_boot("chattr -i /etc/fixed"),
        heal="chattr -i /etc/fixed && rm /etc/fixed && " + no_agent(),
    ),
    fault(
        "another user may write to a program",
        "kv-1",
        "system_was_not_changed_by_hand",
        "An access list shows in no permission that most tools print.",
        "setfacl -m u:redis:rwx,m::rx /usr/bin/tar",
    ),
)
