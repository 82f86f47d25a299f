"""The picture of a recovery: sound XML whatever the names are, and the right shapes at the right places."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from redrill.model.fleet import Endpoint
from redrill.model.recovery import HealthChange
from redrill.model.values import Mode
from redrill.reporting.svg import Axis, shorten, spell_mark
from redrill.reporting.timeline import render_timeline
from selftests.verdict_samples import make_failure, make_fleet, make_record, make_snapshot, make_spans

SVG = "{http://www.w3.org/2000/svg}"
ENDPOINT = make_fleet("web-1").endpoint("web-1")


def draw(record, endpoint: Endpoint = ENDPOINT) -> ET.Element:
    picture = render_timeline(record, endpoint)
    assert picture is not None
    return ET.fromstring(picture)  # noqa: S314 - our own


def texts(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def boxes(picture: ET.Element, fill: str) -> list[tuple[float, float, str]]:
    """Return where the boxes of a colour begin and end, and what they say."""
    found = [box for box in picture.iter(f"{SVG}rect") if box.get("fill") == fill]
    return [(float(box.get("x", 0)), float(box.get("width", 0)), box.findtext(f"{SVG}title") or "") for box in found]


def widest_text(picture: ET.Element) -> float:
    """Return where the text ends that reaches furthest to the right."""
    starts = [text for text in picture.iter(f"{SVG}text") if text.get("text-anchor") is None]
    return max(
        float(text.get("x", 0)) + len(text.text or "") * float(text.get("font-size", 0)) * 0.6 for text in starts
    )


def test_the_picture_says_how_long_what_was_lost_and_against_which_target():
    words = texts(draw(make_record(rto=4.25, lost=2)))
    assert words[0] == "web-1: back in 4.2 s"
    assert {"RTO 4.2 s of 10m", "RPO 0.2 s of 15m", "8 of 10 writes came back, one every 0.1 s"} <= set(words)
    assert {"wipe 0.5 s", "restore 2.0 s", "boot 0.8 s", "ready 1.0 s", "held 1.0 s"} <= set(words)
    assert {"backup, 1.5 s old", "outage begins", "healthy, 4.2 s"} <= set(words)


def test_it_can_be_read_without_eyes():
    picture = draw(make_record())
    assert picture.get("role") == "img"
    assert picture.findtext(f"{SVG}title") == "web-1: back in 4.2 s"
    described = picture.findtext(f"{SVG}desc") or ""
    assert "restore 2.0 s" in described
    assert "Application shop was healthy after 4.2 s; its objective is 10m." in described
    assert "State class orders: 10 of 10 writes came back" in described


def test_whatever_an_endpoint_says_is_text_and_nothing_else():
    evil = "</title></text><script>alert(1)</script>&\x00\x1b[31m\udcff\"'"
    record = make_record()
    shop = record.applications["shop"].model_copy(
        update={"changes": (HealthChange(at=0.0, healthy=False, detail=evil),), "recovered_after": 4.0}
    )
    update = {
        "applications": {"shop": shop},
        "canaries": {evil: record.canaries["orders"].model_copy(update={"unknown": evil, "loss": None})},
        "timeline": make_spans(**{evil: 2.0}),
        "failure": make_failure(message=evil),
        "run": evil,
    }
    picture = draw(record.model_copy(update=update))
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= {
        *("svg", "title", "desc", "rect", "line", "circle", "text")
    }
    assert "script" not in {key for element in picture.iter() for key in element.attrib}
    assert any("<script>" in text for text in texts(picture))


def test_nothing_in_it_comes_from_elsewhere():
    picture = render_timeline(make_record(), ENDPOINT) or ""
    assert "href" not in picture
    assert "url(" not in picture
    assert "@import" not in picture


@pytest.mark.parametrize("factor", [0.001, 1, 60, 1800, 100_000])
def test_every_scale_fits(factor):
    """From milliseconds to days: everything is inside of the picture, and no mark stands in another."""
    record = make_record(rto=4.25 * factor)
    spans = make_spans(wipe=0.5 * factor, restore=2.0 * factor, boot=0.75 * factor)
    update = {"timeline": spans, "snapshot": make_snapshot(1.5 * factor)}
    picture = draw(record.model_copy(update=update))
    width = float(picture.get("width", 0))
    for box in picture.iter(f"{SVG}rect"):
        if box.get("width") != "100%":
            assert 0 <= float(box.get("x", 0)) <= float(box.get("x", 0)) + float(box.get("width", 0)) <= width
    assert widest_text(picture) <= width
    marks = [text for text in picture.iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    places = sorted(float(text.get("x", 0)) for text in marks)
    assert 4 <= len(places) <= 20
    assert min(after - before for before, after in pairwise(places)) >= 15


def test_an_application_is_red_while_it_is_down_and_green_when_it_is_back():
    picture = draw(make_record(rto=4.25))
    (down,) = (box for box in boxes(picture, "#c62828") if box[2].startswith("not healthy from"))
    healthy = [box for box in boxes(picture, "#2a8547") if box[2].startswith("healthy from")]
    assert [box[2] for box in healthy] == ["healthy from 4.2 s"]
    assert down[0] + down[1] == pytest.approx(healthy[0][0], abs=0.2)
    assert down[2] == "not healthy from 0.1 s: connection refused"


def test_what_nobody_knows_is_grey():
    assert [box[2] for box in boxes(draw(make_record()), "#aab2bd")] == ["unknown from 0 s: no answer yet"]
    record = make_record()
    shop = record.applications["shop"].model_copy(update={"changes": ()})
    picture = draw(record.model_copy(update={"applications": {"shop": shop}}))
    assert [box[2] for box in boxes(picture, "#aab2bd")] == ["unknown from 0 s: not asked"]


def test_what_was_never_seen_to_be_down_is_green_from_its_recovery_on():
    record = make_record(rto=4.25)
    shop = record.applications["shop"].model_copy(update={"changes": (HealthChange(at=0.0, healthy=True),)})
    picture = draw(record.model_copy(update={"applications": {"shop": shop}}))
    healthy = [box[2] for box in boxes(picture, "#2a8547") if box[2].startswith("healthy from")]
    assert healthy == ["healthy from 4.2 s"]


def test_what_fell_ill_again_after_it_was_held_is_red_to_the_end():
    record = make_record(rto=4.25)
    changes = (*record.applications["shop"].changes, HealthChange(at=9.0, healthy=False, detail="gone"))
    shop = record.applications["shop"].model_copy(update={"changes": changes})
    picture = draw(record.model_copy(update={"applications": {"shop": shop}}))
    assert [box[2] for box in boxes(picture, "#c62828")][-1] == "not healthy from 9.0 s: gone"


def test_a_loss_reaches_from_the_last_survivor_to_the_outage():
    picture = draw(make_record(lost=10))
    assert [box[2] for box in boxes(picture, "#c62828") if "survivor" in box[2]] == [
        "the last survivor was written 1.0 s before the outage"
    ]
    assert not [box for box in boxes(draw(make_record(lost=0)), "#c62828") if "survivor" in box[2]]


def test_an_objective_is_drawn_where_it_does_not_squeeze_the_rest():
    assert "objective" not in texts(draw(make_record(rto=4.25)))
    assert "objective" in texts(draw(make_record(rto=500.0)))
    assert "objective" in texts(draw(make_record(rto=5000.0)))


def test_an_application_that_never_came_back_is_told_in_the_title():
    words = texts(draw(make_record(rto=None)))
    assert words[0] == "web-1: not every application came back"
    assert "RTO never of 10m" in words


def test_a_drill_that_broke_says_where_and_why():
    words = texts(draw(make_record(failure=make_failure())))
    assert words[0] == "web-1: the drill broke in phase 'restore'"
    assert words[-1] == "phase 'restore': RestoreError: The restore stopped at 'etc/passwd'. second line"


def test_an_endpoint_that_was_not_wiped_has_no_picture():
    assert render_timeline(make_record(wiped=False, mode=Mode.OBSERVE), ENDPOINT) is None


def test_a_record_of_what_the_fleet_no_longer_declares_is_drawn_all_the_same():
    assert texts(draw(make_record(), Endpoint(name="web-1")))[0] == "web-1: back in 4.2 s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0"), (0.05, "0.05 s"), (1.5, "1.5 s"), (90, "90 s"), (150, "2m30s"), (-7200, "-2h"), (-0.5, "-0.5 s")],
)
def test_marks_are_told_in_the_units_of_people(seconds, words):
    assert spell_mark(seconds) == words


def test_a_moment_outside_of_an_axis_is_drawn_at_its_end():
    axis = Axis(0, 10, 100, 200)
    assert [axis.at(moment) for moment in (-5, 0, 5, 50)] == [100, 100, 150, 200]


def test_a_long_name_is_cut_off():
    assert shorten("abcdef", 36, 10) == "abcdef"
    assert shorten("abcdefg", 36, 10) == "abcde…"
