import os
from pathlib import Path

import pytest

from redrill.errors import FleetError, GuardError
from redrill.loader import load_fleet, select_endpoints
from redrill.model.fleet_file import parse_fleet
from redrill.model.fleet_schema import fleet_schema
from selftests.fleet_samples import SETTINGS, SOURCE, mistakes_of, parse, settings_of

SAMPLE = Path(__file__).parents[3] / "fixtures" / "fleets" / "shop-staging.yml"

LAYERED = """\
fleet: shop
defaults:
  ssh: {user: admin, port: 2222}
  repository: {kind: tar, directory: backups, mirrors: [a]}
  provisioner: {kind: tree, directory: d, image: i}
  tags: [all]
roles:
  web:
    ssh: {port: 22}
    tags: [web]
    image: {name: web, version: "1"}
endpoints:
  web-1: {role: web, image: {version: "2"}, repository: {directory: /other}}
  db-1: {provisioner: {kind: nspawn}, repository: null}
  bare-1:
"""


def wrap(endpoint, rest=""):
    return f"fleet: shop\nendpoints:\n  web-1: {{{endpoint}}}\n{rest}"


def test_defaults_role_and_endpoint_merge_deeply():
    web = parse(LAYERED).endpoint("web-1")
    assert (web.ssh.user, web.ssh.port) == ("admin", 22)
    assert (web.image.name, web.image.version) == ("web", "2")


def test_lists_replace_and_do_not_merge():
    assert parse(LAYERED).endpoint("web-1").tags == ("web",)


def test_a_backend_of_the_same_kind_merges():
    settings = parse(LAYERED).endpoint("web-1").repository.settings
    assert settings == {"directory": "/other", "mirrors": ["/fleets/shop/a"]}


def test_a_backend_of_another_kind_replaces_as_a_whole():
    assert parse(LAYERED).endpoint("db-1").provisioner.settings == {}


def test_null_takes_back_what_the_defaults_gave():
    assert parse(LAYERED).endpoint("db-1").repository is None


def test_an_endpoint_without_a_body_has_what_the_defaults_say():
    assert parse(LAYERED).endpoint("bare-1").ssh.user == "admin"


def test_endpoints_keep_the_order_of_the_file():
    assert [endpoint.name for endpoint in parse(LAYERED).endpoints] == ["web-1", "db-1", "bare-1"]


def test_relative_paths_start_at_the_folder_of_the_file_and_the_tilde_is_expanded():
    fleet = parse(
        wrap(
            "day1: d.sh, ssh: {key: ~/k, known_hosts: ../kh, config: /c}, "
            "image: {name: i, version: '1', definition: x}, repository: {kind: tar, directory: b}"
        )
    )
    web = fleet.endpoint("web-1")
    assert web.day1 == SOURCE.parent / "d.sh"
    assert web.ssh.key == Path.home() / "k"
    assert (web.ssh.known_hosts, web.ssh.config) == (SOURCE.parent / "../kh", Path("/c"))
    assert web.image.definition == SOURCE.parent / "x"
    assert web.repository.settings == {"directory": "/fleets/shop/b"}


def test_text_settings_of_a_backend_are_not_taken_for_paths():
    web = parse(wrap("log_sink: {kind: journal-remote, endpoint: logs-1, directory: d}")).endpoint("web-1")
    assert web.log_sink.settings == {"endpoint": "logs-1", "directory": "d"}


def test_a_secret_of_a_backend_reaches_it_unchanged():
    web = parse(wrap("repository: {kind: tar, directory: b, password: hush}")).endpoint("web-1")
    assert web.repository.settings["password"] == "hush"  # noqa: S105 - a made-up one


def test_the_source_is_absolute_however_the_file_was_named():
    fleet = parse_fleet(wrap("").encode(), Path("fleet.yml"), settings_of)
    assert fleet.source == Path.cwd() / "fleet.yml"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1:1: the file is empty; give it the keys 'fleet' and 'endpoints'."),
        ("# nothing\n", "1:1: the file is empty; give it the keys 'fleet' and 'endpoints'."),
        ("- a", "1:1: the file is not a mapping; give it the keys 'fleet' and 'endpoints'."),
        ("fleet: shop", "1:1: endpoints: 'endpoints' is missing; add it."),
        ("endpoints: {a: }", "1:1: fleet: 'fleet' is missing; add it."),
        ("fleet: shop\nendpoints: {}", "2:12: endpoints: no endpoints are declared; declare at least one."),
        (
            wrap("nam: 1"),
            "3:11: endpoints.web-1.nam: unknown key 'nam'; known are: 'address', 'applications', 'backup', 'canaries', "
            "'churn', 'day1', 'desired_state', 'ephemeral', 'expendable', 'failure_domain', 'file_canaries', 'ignore', "
            "'image', 'log_sink', 'neighbours', 'objectives', 'provisioner', 'references', 'relocate', 'repository', "
            "'restore', 'role', 'ssh', 'tags', 'vanilla'.",
        ),
        (wrap("adress: a"), "3:11: endpoints.web-1.adress: unknown key 'adress'; did you mean 'address'?"),
        (wrap("", "endpoint: {}"), "4:1: endpoint: unknown key 'endpoint'; did you mean 'endpoints'?"),
        (
            wrap("ssh: {prot: 22}"),
            "3:17: endpoints.web-1.ssh.prot: unknown key 'prot'; did you mean 'port'?",
        ),
        (
            wrap("applications: {a: {tcp: {port: 1}, holt: 1s}}"),
            "3:46: endpoints.web-1.applications.a.holt: unknown key 'holt'; did you mean 'hold'?",
        ),
        (wrap("", "  web-1: {}"), "4:3: the key 'web-1' was given before, at 3:3; keep one of the two."),
        (
            wrap("", "  Web_2: {}"),
            "4:3: endpoints.Web_2: 'Web_2' is not a name; use lower-case letters, digits and hyphens.",
        ),
        (wrap("", "  b: []"), "4:6: endpoints.b: a list stands where a mapping is wanted; write a mapping."),
        (wrap("name: x"), "3:11: endpoints.web-1.name: 'name' cannot stand here; the key above it is the name."),
        (
            wrap("", "defaults: {address: a}"),
            "4:12: defaults.address: 'address' cannot stand here; write it at the endpoint that it belongs to.",
        ),
        (wrap("role: web"), "3:17: endpoints.web-1.role: there is no role 'web'; "
         "declare it under 'roles', or remove it."),
        (
            wrap("role: wep", "roles: {web: }"),
            "3:17: endpoints.web-1.role: there is no role 'wep'; did you mean 'web'?",
        ),
        (wrap("expendable: yes"), "3:23: endpoints.web-1.expendable: 'yes' is not true or false; "
         "write true or false without quotes."),
        (wrap("restore: now"), "3:20: endpoints.web-1.restore: 'now' is none of 'auto', 'offline', 'live'; "
         "write one of them."),
        (wrap("image: {name: a, version: 12}"), "3:37: endpoints.web-1.image.version: 12 is not text; "
         "write it in quotes."),
        (wrap("image: {name: a}"), "3:18: endpoints.web-1.image.version: 'version' is missing; add it."),
        (
            wrap("applications: {a: {}}"),
            "3:29: endpoints.web-1.applications.a: an application needs a health check: 'http', 'tcp', 'unit', "
            "'command', 'postgresql', 'redis' or 'dns'.",
        ),
        (wrap("churn: [var]"), "3:19: endpoints.web-1.churn[0]: 'var' is not a churn rule; "
         "write 'GLOB' or 'GLOB attribute,attribute'."),
        (wrap("day1: ''"), "3:17: endpoints.web-1.day1: the path is empty; "
         "name a file or a directory, or leave the key out."),
        (wrap("day1: ~nobody-at-all/x"), "3:17: endpoints.web-1.day1: '~nobody-at-all/x' names a user whose home is "
         "unknown; write the path in full."),
        (wrap("provisioner: {}"), "3:24: endpoints.web-1.provisioner.kind: 'kind' is missing; add it."),
        (
            wrap("log_sink: {kind: tar}"),
            "3:28: endpoints.web-1.log_sink.kind: There is no backend 'tar' in redrill.collectors; "
            "installed are: ['file', 'journal-remote'].",
        ),
        (
            wrap("provisioner: {kind: nspawn, directory: d}"),
            "3:39: endpoints.web-1.provisioner.directory: unknown key 'directory'; known are: 'lab'.",
        ),
        (
            wrap("repository: {kind: tar, directory: d, mirrors: [a, 1]}"),
            "3:62: endpoints.web-1.repository.mirrors[1]: 1 is not text; write it in quotes.",
        ),
        (
            wrap("repository: {kind: tar, directory: d, password: 1234}"),
            "3:59: endpoints.web-1.repository.password: the (hidden) value is not text; write it in quotes.",
        ),
        (wrap("", "roles: {web: {ssh: {port: 0}}}"), "4:27: roles.web.ssh.port: 0 is refused: "
         "input should be greater than or equal to 1."),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_its_value_and_what_to_do(text, mistake):
    assert mistakes_of(text) == [mistake]


@pytest.mark.parametrize(
    "address",
    [
        *("-oProxyCommand=touch pwn", "a\\nb", "$(id)", "a b", "", "10.20.0.300", "10.20.0", "0x7f.1", "fe80::1%$(id)"),
        *("10.0.0.1%eth0", "shop\\u202e.example", "a..b", "user@host", "x" * 64, ":22"),
    ],
)
def test_what_is_no_address_is_refused(address):
    (mistake,) = mistakes_of(wrap(f'address: "{address}"'))
    assert mistake.startswith("3:20: endpoints.web-1.address: ")


@pytest.mark.parametrize("address", ["10.20.0.11", "::1", "fe80::1%eth0", "db-1.shop.example", "db-1", "a.example."])
def test_an_address_is_an_ip_address_or_a_host_name(address):
    assert parse(wrap(f'address: "{address}"')).endpoint("web-1").address == address


@pytest.mark.parametrize("port", ["0", "65536", "'22; rm'", "'22'", "022", "22.0", "1_000", "null", "true"])
def test_what_is_no_port_is_refused(port):
    (mistake,) = mistakes_of(wrap(f"ssh: {{port: {port}}}"))
    assert mistake.startswith("3:23: endpoints.web-1.ssh.port: ")


@pytest.mark.parametrize("user", ["a@b", "a:b", "-l", "''", "'a b'", "Root"])
def test_what_is_no_user_name_is_refused(user):
    (mistake,) = mistakes_of(wrap(f"ssh: {{user: {user}}}"))
    assert mistake.startswith("3:23: endpoints.web-1.ssh.user: ")


@pytest.mark.parametrize("duration", ["5 min", "-1s", "0s", "inf", "5", "1.5h", "''", "9999999d", "12:30"])
def test_what_is_no_duration_is_refused(duration):
    (mistake,) = mistakes_of(wrap(f"objectives: {{rto: {duration}}}"))
    assert mistake.startswith("3:29: endpoints.web-1.objectives.rto: ")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = (
        "fleet: Shop\nfleet: shop\nbogus: 1\nendpoints:\n  a: {restore: x, role: y}\n  b: {ssh: {port: 0}, tags: z}\n"
    )
    assert [mistake.split(": ")[0] for mistake in mistakes_of(text)] == [
        "1:8",
        "2:1",
        "3:1",
        "5:16",
        "5:25",
        "6:19",
        "6:29",
    ]


def test_a_mistake_in_the_defaults_is_told_once_and_where_it_stands():
    endpoints = "".join(f"  web-{number}: {{address: 10.0.0.{number}}}\n" for number in range(1, 50))
    text = f"fleet: shop\ndefaults:\n  ssh: {{port: 99999}}\nendpoints:\n{endpoints}"
    assert mistakes_of(text) == [
        "3:15: defaults.ssh.port: 99999 is refused: input should be less than or equal to 65535."
    ]


def test_a_mistake_in_a_role_is_told_once_and_where_it_stands():
    text = "fleet: shop\nroles:\n  web: {provisioner: {kind: qemu}}\nendpoints:\n  a: {role: web}\n  b: {role: web}\n"
    (mistake,) = mistakes_of(text)
    assert mistake.startswith("3:29: roles.web.provisioner.kind: There is no backend 'qemu'")


def test_a_role_that_nobody_uses_may_leave_things_to_the_endpoint():
    parse(wrap("", "roles: {web: {image: {name: x}, applications: {shop: {}}, repository: {kind: tar}}}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [("10.0.0.1", "10.0.0.1"), ("::1", "0:0::1"), ("Web.example", "web.example.")],
)
def test_two_endpoints_at_the_same_address_and_port_are_refused(one, other):
    text = f"fleet: shop\nendpoints:\n  a: {{address: '{one}'}}\n  b: {{address: '{other}', ssh: {{port: 22}}}}\n"
    assert mistakes_of(text) == [
        f"4:16: endpoints.b.address: the address '{other}' with port 22 is already that of 'a', at 3:16; "
        "give each endpoint its own."
    ]


def test_two_endpoints_may_share_an_address_on_different_ports():
    text = "fleet: shop\nendpoints:\n  a: {address: 127.0.0.1}\n  b: {address: 127.0.0.1, ssh: {port: 2222}}\n"
    assert len(parse(text).endpoints) == 2


def test_an_unknown_key_that_came_in_by_a_merge_key_is_told_where_it_stands():
    text = "fleet: shop\nendpoints:\n  a: &a\n    adress: x\n  b: {<<: *a}\n"
    assert mistakes_of(text) == ["4:5: endpoints.a.adress: unknown key 'adress'; did you mean 'address'?"]


def test_the_sample_fleet_shows_every_feature_and_parses():
    fleet = parse_fleet(SAMPLE.read_bytes(), SAMPLE, settings_of)
    assert SAMPLE.read_text().startswith("# yaml-language-server: $schema=redrill.schema.json\n")
    assert fleet.endpoint("web-2").image.version == "2026.11.3"
    assert fleet.endpoint("logs-1").repository is None
    said = {name for endpoint in fleet.endpoints for name in endpoint.model_fields_set}
    assert said == set(type(fleet.endpoints[0]).model_fields)


@pytest.mark.parametrize("path", sorted(SAMPLE.parent.glob("*.yml")), ids=lambda path: path.name)
def test_every_sample_parses_with_the_built_in_backends(path):
    assert load_fleet(path).endpoints


def test_a_fleet_of_a_thousand_endpoints_is_read_whole():
    endpoints = "".join(f"  web-{n}: {{role: web, address: 10.0.{n // 250}.{n % 250}}}\n" for n in range(1000))
    fleet = parse(f"fleet: shop\nroles:\n  web: {{tags: [a]}}\nendpoints:\n{endpoints}")
    assert len(fleet.endpoints) == 1000


def test_the_schema_knows_every_key_of_the_file_and_the_settings_of_each_kind():
    schema = fleet_schema(SETTINGS)
    definitions = schema["$defs"]
    assert set(schema["properties"]) >= {
        "fleet",
        "environment",
        "disposable",
        "locks",
        "defaults",
        "roles",
        "endpoints",
    }
    assert "address" in definitions["endpoint"]["properties"]
    assert not {"name", "role", "address"} & set(definitions["shared"]["properties"])
    assert definitions["provisioner"]["properties"]["kind"]["enum"] == ["nspawn", "tree"]
    branches = definitions["repository"]["allOf"]
    (tar,) = [each["then"] for each in branches if each["if"]["properties"]["kind"]["const"] == "tar"]
    assert (set(tar["properties"]), tar["additionalProperties"]) == (
        {"kind", "directory", "mirrors", "password"},
        False,
    )


def test_the_schema_requires_nothing_that_defaults_or_a_role_may_give():
    definitions = fleet_schema(SETTINGS)["$defs"]
    assert not [name for name, schema in definitions.items() if "required" in schema]


@pytest.fixture
def fleet():
    return parse(
        "fleet: shop\nroles: {web: , db: }\nendpoints:\n  web-1: {role: web, tags: [a]}\n"
        "  web-2: {role: web, tags: [b]}\n  db-1: {role: db, tags: [a, b]}\n  x: {}\n"
    )


@pytest.mark.parametrize(
    ("names", "roles", "tags", "selected"),
    [
        ([], [], [], ["web-1", "web-2", "db-1", "x"]),
        (["x", "web-1"], [], [], ["web-1", "x"]),
        ([], ["web"], [], ["web-1", "web-2"]),
        ([], ["web"], ["b"], ["web-2"]),
        ([], ["web", "db"], ["a"], ["web-1", "db-1"]),
    ],
)
def test_choices_of_one_sort_add_up_and_those_of_different_sorts_narrow(fleet, names, roles, tags, selected):
    assert [endpoint.name for endpoint in select_endpoints(fleet, names, roles, tags)] == selected


@pytest.mark.parametrize(
    ("names", "roles", "tags", "message"),
    [
        (["web-9"], [], [], "The fleet has no endpoint 'web-9'; it has: 'web-1', 'web-2', 'db-1', 'x'."),
        ([], ["kv"], [], "The fleet has no role 'kv'; it has: 'web', 'db'."),
        ([], [], ["*"], "The fleet has no tag '*'; it has: 'a', 'b'."),
    ],
)
def test_an_unknown_choice_is_a_mistake(fleet, names, roles, tags, message):
    with pytest.raises(FleetError) as caught:
        select_endpoints(fleet, names, roles, tags)
    assert caught.value.mistakes == (message,)


@pytest.mark.parametrize(
    ("names", "roles", "message"),
    [
        ([""], [], "An empty endpoint was chosen, which never means all; leave the option out to choose all."),
        ([], [" "], "An empty role was chosen, which never means all; leave the option out to choose all."),
        (["x"], ["web"], "No endpoint of the fleet 'shop' matches 'x', 'web' together; choose less narrowly."),
    ],
)
def test_a_choice_of_nothing_is_refused_and_never_means_all(fleet, names, roles, message):
    with pytest.raises(GuardError) as caught:
        select_endpoints(fleet, names, roles)
    assert str(caught.value) == message


def test_all_unknown_choices_are_told_at_once_for_each_sort(fleet):
    with pytest.raises(FleetError) as caught:
        select_endpoints(fleet, ["a", "b"])
    assert len(caught.value.mistakes) == 2


def test_a_fleet_file_is_read_from_disk(tmp_path):
    (tmp_path / "fleet.yml").write_text(wrap("address: 10.0.0.1"))
    assert load_fleet(tmp_path / "fleet.yml").source == tmp_path / "fleet.yml"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _path: None, "No such file or directory"),
        (Path.mkdir, "is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_sentence(tmp_path, make, why):
    path = tmp_path / "fleet.yml"
    make(path)
    with pytest.raises(FleetError) as caught:
        load_fleet(path)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"The fleet file '{path}' ")
    assert why in mistake
