"""The fault catalogue: every way in which an endpoint is not stateless that redrill promises to see, and who sees it.

Run it (``python -m selftests.system.faults``, with ``suites`` on the path) to print it as a Markdown table.
"""

from selftests.support.planting import Fault, fault
from selftests.system.faults_of_desired_state import UNDONE
from selftests.system.faults_of_files import OF_FILES
from selftests.system.faults_of_hosts import AT_BOOT, BY_HAND
from selftests.system.faults_of_identity import IDENTITY_FAULTS
from selftests.system.faults_of_leaks import LOST, OWNERS
from selftests.system.faults_of_recovery import RECOVERY
from selftests.system.faults_of_runtime import IN_MEMORY
from selftests.system.faults_of_vendor import OF_ETC, OF_VENDOR
from selftests.system.faults_of_waivers import OF_WAIVERS

QUIET = "[Journal]\\nMaxLevelStore=warning\\n"

LOGGING = (
    fault(
        "the journal will be silenced at the next boot",
        "web-1",
        "endpoint_logs_to_the_sink_now",
        "A configuration that nobody restarted into is a fault that waits for the next boot.",
        f"printf '{QUIET}' >/etc/systemd/journald.conf.d/99-quiet.conf",
        heal="rm /etc/systemd/journald.conf.d/99-quiet.conf; systemctl restart systemd-journald",
    ),
    fault(
        "nothing is forwarded to the log sink",
        "db-1",
        ("message_before_the_wipe_is_at_the_sink", "endpoint_logs_to_the_sink_now"),
        "An endpoint that logs nowhere takes the story of its end with it; before and after are promises of their own.",
        "systemctl -q disable --now systemd-journal-upload",
        heal="systemctl -q enable --now systemd-journal-upload",
    ),
    fault(
        "the journal was silenced by hand",
        "kv-1",
        "message_before_the_wipe_is_at_the_sink",
        "Set in /run, it heals with the redeploy, and what was not logged until then is lost for good.",
        f"mkdir -p /run/systemd/journald.conf.d && printf '{QUIET}' >/run/systemd/journald.conf.d/99-quiet.conf && "
        "systemctl restart systemd-journald",
    ),
    fault(
        "the log uploader waits for a cursor of another journal",
        "web-1",
        ("message_before_the_wipe_is_at_the_sink", "endpoint_logs_to_the_sink_now"),
        "It is active and uploads nothing, before and after; only a message found at the sink counts.",
        "systemctl stop systemd-journal-upload && sed -i 's/i=[0-9a-f]*/i=fffffff/; s/t=[0-9a-f]*/t=7fffffffffffff/' "
        "/var/lib/private/systemd/journal-upload/state && systemctl start systemd-journal-upload",
        heal="systemctl stop systemd-journal-upload; rm /var/lib/private/systemd/journal-upload/state; "
        "systemctl start systemd-journal-upload",
    ),
    fault(
        "the endpoint logs under another name",
        "db-1",
        "messages_carry_host_and_boot",
        "Set by hand, it lives in the kernel only; the sink files the messages under a host that does not exist.",
        "hostname db-1-old && systemctl restart systemd-journald",
    ),
)

WANTED = (
    fault(
        "the fleet wants a newer image",
        "kv-1",
        "os_release_is_the_wanted_one",
        "A redeploy from yesterday's image is a redeploy of yesterday's holes.",
        fleet={"image": {"version": "2026.12.1"}},
    ),
    fault(
        "the fleet wants another version of a package",
        "db-1",
        "packages_have_the_wanted_versions",
        "The image was built with whatever the mirror had that day.",
        fleet={"image": {"packages": {"postgresql-15": "15.99-1"}}},
    ),
    fault(
        "the fleet pins another image",
        "web-1",
        "image_is_the_wanted_one",
        "Name and version are words; the digest is the image.",
        fleet={"image": {"digest": "sha256:" + "f" * 64}},
    ),
    fault(
        "/etc/os-release is a stale copy",
        "kv-1",
        "etc_os_release_is_that_of_the_system",
        "Restored as a regular file, it tells every tool of a system that is no longer there.",
        "sed 's/^VERSION_ID=.*/VERSION_ID=\"11\"/' /usr/lib/os-release >/etc/os-release.new && "
        "mv /etc/os-release.new /etc/os-release",
        heal="ln -sf ../usr/lib/os-release /etc/os-release",
    ),
)

BACKENDS = (
    fault(
        "the provisioner keeps /opt",
        "web-1",
        "stains_outside_the_state_paths_are_gone",
        "A disk that survives the redeploy hides every leak on it.",
        fleet={"provisioner": {"kind": "keeps-opt"}},
    ),
    fault(
        "the provisioner only reboots",
        "db-1",
        ("stains_outside_the_state_paths_are_gone", "root_file_system_is_new"),
        "The boot id is new, and nothing else is. Nothing was replaced: the stains and the old root both say so.",
        fleet={"provisioner": {"kind": "only-reboots"}},
    ),
    fault(
        "the provisioner refills the old file system",
        "kv-1",
        "root_file_system_is_new",
        "Every file is right, but a file system that is damaged or of the wrong kind is never made anew.",
        fleet={"provisioner": {"kind": "sweeps-only"}},
    ),
    fault(
        "the provisioner deploys another image than planned",
        "db-1",
        "image_is_the_wanted_one",
        "What 'latest' means can change between the plan and the deploy.",
        fleet={"provisioner": {"kind": "other-image"}},
    ),
    fault(
        "the image was rebuilt under the same name",
        "kv-1",
        "system_equals_the_image",
        "Name, version and digest all agree; only the files tell.",
        fleet={"provisioner": {"kind": "rebuilt-image"}},
        needs_rebuild=True,
    ),
    fault(
        "the repository loses a file",
        "web-1",
        "restored_trees_equal_the_backup",
        "The backup was verified; what came out of it later was less.",
        fleet={"repository": {"kind": "loses-file"}},
        needs_rebuild=True,
    ),
    fault(
        "the restore drops extended attributes",
        "web-1",
        "restored_trees_equal_the_backup",
        "No tool complains; capabilities, labels and access lists just are not there.",
        fleet={"repository": {"kind": "loses-attribute"}},
        needs_rebuild=True,
    ),
    fault(
        "the restore lets everybody write a file",
        "db-1",
        "restored_trees_equal_the_backup",
        "Some bits of one mode, and everybody may say who logs in to the database.",
        fleet={"repository": {"kind": "loses-mode"}},
        heal="chmod 640 /etc/postgresql/15/main/pg_hba.conf",
    ),
    fault(
        "files are replaced under a running system",
        "oak-1",
        "boot_is_new",
        "On an endpoint that is a directory; over SSH a drill refuses to go on with the old boot at all.",
        fleet={"provisioner": {"kind": "same-boot"}},
    ),
)

FAULTS = (
    RECOVERY
    + LOGGING
    + BY_HAND
    + AT_BOOT
    + OF_FILES
    + WANTED
    + BACKENDS
    + OF_WAIVERS
    + IDENTITY_FAULTS
    + LOST
    + OWNERS
    + IN_MEMORY
    + OF_ETC
    + UNDONE
)

NOT_BY_A_FAULT = {
    "test_drill_runs_to_its_end": "a drill that does not run to its end blocks every test of its endpoint with its "
    "first cause; 'a provisioner that destroys nothing' below is such a drill",
    "test_system_equals_the_vendor": "endpoints without an image are observed, not drilled; 'test_vendor.py' does that",
    "test_backup_keeps_what_was_there": "the owner's own backups lose something; 'test_owners_backups.py' has one",
    "test_recovery_has_not_slowed_down": "it takes earlier drills; 'plugin/test_history.py' has them in its ledger",
    **dict.fromkeys(
        (
            "test_a_second_drill_changes_nothing_more",
            "test_the_order_of_endpoints_does_not_matter",
            "test_what_is_restored_is_what_was_backed_up",
            "test_less_state_is_never_healthier",
        ),
        "laws are judged by a second drill; 'plugin/test_laws.py' has an endpoint that breaks each",
    ),
    **dict.fromkeys(
        (
            "test_image_boots_and_is_reachable",
            "test_fresh_identity_is_nobodys",
            "test_state_paths_are_those_of_the_image",
            "test_nothing_of_the_old_endpoint_is_left",
            "test_new_host_is_another_one",
            "test_new_host_has_its_name",
            "test_wanted_host_is_left",
        ),
        "only modes 'vanilla' and 'relocate' judge it; 'test_modes.py' plants its faults",
    ),
    "test_what_the_image_enables_is_up": "only mode 'vanilla' judges it; 'test_modes_lab.py' plants its fault",
    "test_identity_is_its_own": "a duplicate turns both endpoints red; 'test_fleet_view.py' plants them",
    "test_endpoint_is_like_its_role": "a majority needs three endpoints of a role; 'test_fleet_view.py' has them",
}
"""Tests that no violation of an endpoint turns red, with the reason."""


def rounds(faults: tuple[Fault, ...] = FAULTS) -> list[list[Fault]]:
    """Return the faults as drills of the fleet: at most one fault an endpoint, in the order of the catalogue."""
    made: list[list[Fault]] = []
    for each in faults:
        free = (row for row in made if all(other.endpoint != each.endpoint for other in row))
        row = next(free, None)
        if row is None:
            made.append(row := [])
        row.append(each)
    return made


def render_catalogue() -> str:
    """Return the catalogue as a Markdown table."""
    rows = [f"| {f.name} | {', '.join(f'`{test}`' for test in sorted(f.red))} | {f.why} |" for f in FAULTS + OF_VENDOR]
    return "\n".join(["| planted fault | turns red | why it matters |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(render_catalogue())
