"""Reading the small facts about system and accounts: from what the commands print to typed values."""

from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.system import parse_os_release, parse_packages


def parse(name: str, text: str) -> dict[str, object]:
    return next(fact for fact in FACTS if fact.name == name).parse(text)


def test_no_two_facts_share_a_name() -> None:
    assert len({fact.name for fact in FACTS}) == len(FACTS)


def test_os_release_is_unquoted() -> None:
    text = "# comment\nNAME=\"Debian GNU/Linux\"\nIMAGE_VERSION='1.10'\nID=debian\n"
    assert parse_os_release(text) == {"NAME": "Debian GNU/Linux", "IMAGE_VERSION": "1.10", "ID": "debian"}


def test_only_installed_packages_count() -> None:
    text = "tar:amd64\t1.34\tinstalled\nold:amd64\t1\tconfig-files\n"
    assert parse_packages(text) == {"tar:amd64": "1.34"}


def test_users_that_are_no_lines_of_passwd_are_ignored() -> None:
    users = parse("users", "root:x:0:0:root:/root:/bin/bash\nbroken\n")["users"]
    assert isinstance(users, dict)
    assert list(users) == ["root"]
    assert users["root"].shell == "/bin/bash"


def test_each_membership_is_an_item_of_its_own() -> None:
    groups = parse("groups", "adm:x:4:alice,bob\nwww-data:x:33:\n")
    assert groups == {"groups": {"adm": 4, "www-data": 33}, "runtime": {"members": {"adm alice": "", "adm bob": ""}}}


def test_sudo_rules_are_lines_without_their_layout() -> None:
    text = (
        "# a comment\n\nDefaults\tenv_reset\n%sudo  ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n\n"
        "alice ALL = (root) \\\n    NOPASSWD: /usr/bin/systemctl restart shop\n#includedir /etc/more\n"
    )
    assert parse("sudo rules", text) == {
        "runtime": {
            "sudo rules": {
                "#includedir /etc/more": "",
                "%sudo ALL=(ALL:ALL) ALL": "",
                "@includedir /etc/sudoers.d": "",
                "Defaults env_reset": "",
                "alice ALL = (root) NOPASSWD: /usr/bin/systemctl restart shop": "",
            }
        }
    }
