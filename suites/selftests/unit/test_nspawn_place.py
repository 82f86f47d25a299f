import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from redrill.provisioners.nspawn_network import Subnet
from redrill.provisioners.nspawn_place import LabPlace

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@given(lab=NAMES, endpoint=NAMES)
def test_interface_names_fit_into_the_kernels_15_characters(lab: str, endpoint: str) -> None:
    place = LabPlace(lab).endpoint(endpoint)
    assert len(place.lab.bridge) <= 15
    assert len(place.link) <= 15


@given(first=st.tuples(NAMES, NAMES), second=st.tuples(NAMES, NAMES))
def test_two_endpoints_share_no_link_and_no_directory(first: tuple[str, str], second: tuple[str, str]) -> None:
    one, other = (LabPlace(lab).endpoint(endpoint) for lab, endpoint in (first, second))
    assert (one.link == other.link) == (first == second)
    assert (one.tree == other.tree) == (first == second)


def test_the_host_has_the_first_address_of_the_endpoints_network() -> None:
    assert Subnet.around(ipaddress.IPv4Address("198.18.7.200")).gateway == "198.18.7.1/24"
