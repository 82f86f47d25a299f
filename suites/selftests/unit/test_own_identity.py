"""What is a new host's own after a restore: by the catalogue of identities, on a directory with the real programs."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from redrill.drill.own_identity import FOLDER, bring_back_own, forget_own, save_own
from redrill.errors import RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Difference
from redrill.model.record import Location, RelocationFacts
from redrill.model.values import Mode
from redrill.probes.identity_classes import IDENTITY_CLASSES, Policy
from redrill.provisioners.tree import TreeProvisioner

OWN = ("/etc/hostname", "/etc/netplan/50-host.yaml")


class Provisioner:
    def own_files(self) -> tuple[str, ...]:
        return OWN


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("etc/ssh", "etc/netplan", "var/lib/systemd", "run"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return tmp_path / "root"


def relocate(root: Path, restore: Callable[[], object], *, times: int = 1) -> dict[str, str]:
    """Save what is in ``root`` now, restore over it, and give it back its own; return the paths with their classes."""
    relocation = RelocationFacts(name="new", old=Location(root=root), new=Location(root=root))
    evidence = SimpleNamespace(relocation=relocation)
    bench = SimpleNamespace(mode=Mode.RELOCATE, builder=Provisioner(), evidence=evidence, detail="")
    machine, deadline = LocalMachine("new", root), Deadline.after(30)
    for _ in range(times):
        save_own(bench, machine, deadline)
        restore()
        bring_back_own(bench, machine, deadline)
    forget_own(bench, machine, deadline)
    assert not (root / FOLDER).exists()
    return dict(bench.evidence.relocation.regenerated)


def write(root: Path, **files: str) -> None:
    for path, text in files.items():
        (root / path.replace("__", "/")).write_text(text)


def test_an_identity_is_the_fresh_hosts_again(root: Path) -> None:
    write(root, etc__hostname="new\n", etc__ssh__ssh_host_ed25519_key="new key\n")
    (root / "etc/netplan/50-host.yaml").write_text("address: 2\n")

    def restore() -> None:
        write(root, etc__hostname="old\n", etc__ssh__ssh_host_ed25519_key="old key\n", etc__motd="hello\n")
        (root / "etc/netplan/50-host.yaml").write_text("address: 1\n")

    assert relocate(root, restore) == {
        "/etc/hostname": "hostname",
        "/etc/ssh/ssh_host_ed25519_key": "ssh-host-private-keys",
        "/etc/netplan/50-host.yaml": "provisioned",
    }
    assert (root / "etc/hostname").read_text() == "new\n"
    assert (root / "etc/netplan/50-host.yaml").read_text() == "address: 2\n"
    assert (root / "etc/motd").read_text() == "hello\n"


def test_an_identity_that_the_fresh_host_has_not_goes_away(root: Path) -> None:
    regenerated = relocate(root, lambda: (root / "var/lib/systemd/random-seed").write_text("old"))
    assert regenerated == {"/var/lib/systemd/random-seed": "random-seed"}
    assert not (root / "var/lib/systemd/random-seed").exists()


def test_an_identity_that_only_the_fresh_host_has_stays(root: Path) -> None:
    write(root, etc__ssh__ssh_host_rsa_key="new key\n")
    relocate(root, (root / "etc/ssh/ssh_host_rsa_key").unlink)
    assert (root / "etc/ssh/ssh_host_rsa_key").read_text() == "new key\n"


def test_of_a_configuration_only_the_lines_of_the_identity_are_renewed(root: Path) -> None:
    write(root, etc__hosts="127.0.0.1 localhost\n127.0.1.1 new\n", etc__fstab="UUID=2 / ext4\n")
    text = "127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.9 vault\n"
    relocate(root, lambda: write(root, etc__hosts=text, etc__fstab="UUID=1 / ext4\nvault:/x /x nfs\n"))
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n10.0.0.9 vault\n127.0.1.1 new\n"
    assert (root / "etc/fstab").read_text() == "vault:/x /x nfs\nUUID=2 / ext4\n"


def test_what_is_the_same_is_not_told(root: Path) -> None:
    write(root, etc__hostname="same\n")
    assert relocate(root, lambda: write(root, etc__hostname="same\n")) == {}


def test_what_the_catalogue_keeps_is_not_touched(root: Path) -> None:
    kept = "/etc/ssh/authorized_keys.d"
    (root / kept[1:]).mkdir()
    relocate(root, lambda: (root / kept[1:] / "root").write_text("ssh-ed25519 AAAA admin\n"))
    assert (root / kept[1:] / "root").read_text() == "ssh-ed25519 AAAA admin\n"


def test_a_restore_that_is_done_again_does_not_take_the_old_identity_for_the_new(root: Path) -> None:
    write(root, etc__hostname="new\n")
    relocate(root, lambda: write(root, etc__hostname="old\n"), times=2)
    assert (root / "etc/hostname").read_text() == "new\n"


def test_nothing_is_done_through_links_that_the_backup_brings(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "controller"
    outside.mkdir()
    (outside / "ssh_host_ed25519_key").write_text("the controller's\n")
    (outside / "hostname").write_text("controller\n")
    write(root, etc__hostname="new\n", etc__ssh__ssh_host_ed25519_key="new key\n")

    def restore() -> None:
        (root / "etc/ssh/ssh_host_ed25519_key").unlink()
        (root / "etc/ssh").rmdir()
        (root / "etc/ssh").symlink_to(outside)
        (root / "etc/hostname").unlink()
        (root / "etc/hostname").symlink_to(outside / "hostname")

    relocate(root, restore)
    assert (outside / "ssh_host_ed25519_key").read_text() == "the controller's\n"
    assert (outside / "hostname").read_text() == "controller\n"


def test_a_fresh_host_whose_own_files_are_gone_is_not_given_the_old_ones(root: Path) -> None:
    bench = SimpleNamespace(
        mode=Mode.RELOCATE,
        builder=Provisioner(),
        evidence=SimpleNamespace(relocation=RelocationFacts(name="new", old=Location(), new=Location())),
        detail="",
    )
    with pytest.raises(RestoreError, match=r"no longer in '/run/redrill-own'"):
        bring_back_own(bench, LocalMachine("new", root), Deadline.after(30))


def test_only_what_is_the_hosts_own_is_no_difference_from_the_backup() -> None:
    place = Location()
    move = RelocationFacts(name="new", old=place, new=place, regenerated={"/etc/ssh/key": "ssh-host-private-keys"})
    assert move.explains(Difference("/etc/ssh/key", "sha256", "a", "b"))
    assert move.explains(Difference("/etc/ssh", "mtime_ns", 1, 2))
    assert not move.explains(Difference("/etc/ssh", "mode", 0o755, 0o777))
    assert not move.explains(Difference("/etc", "mtime_ns", 1, 2))
    assert not move.explains(Difference("/etc/shadow", "sha256", "a", "b"))


def test_every_class_of_lines_says_which_lines() -> None:
    renewed = [each for each in IDENTITY_CLASSES.values() if each.has_lines]
    assert renewed
    assert {each.relocate for each in renewed} == {Policy.RENEW}


def test_a_directory_gets_a_name_and_an_id_only_where_no_link_leads_elsewhere(tmp_path: Path) -> None:
    provisioner = object.__new__(TreeProvisioner)
    provisioner._root, provisioner._name = tmp_path / "root", "oak-1"
    (tmp_path / "root").mkdir()
    (tmp_path / "etc").mkdir()
    for name in ("hostname", "machine-id"):
        (tmp_path / "etc" / name).write_text("0" * 32)
    (tmp_path / "root/etc").symlink_to("../etc")
    provisioner._write_name()
    provisioner._make_machine_id()
    assert {(tmp_path / "etc" / name).read_text() for name in ("hostname", "machine-id")} == {"0" * 32}
