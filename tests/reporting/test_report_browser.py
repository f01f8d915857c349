"""The page in a real browser: slices can be scrolled, nothing leaves the page, nothing is wider than a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from builders import tiny_dataset
from chromium import TELEPHONE, chromium, contrast, expect, needs_chromium, opened_page
from gliomask.cli.report import main
from gliomask.config import SplitConfig
from gliomask.data.index import build_index
from report_runs import SLICES, write_run, write_scored

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("browser")
    tiny_dataset(root / "data", patients=6, slices=SLICES, size=48)
    index = build_index(root / "data", use_cache=False)
    run = write_run(root / "run", index, SplitConfig())
    write_scored(run / "test", index, caveats=["some caveat"])
    assert main([str(run), "--quiet"]) == 0
    return (run / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    with opened_page(browser, address, **getattr(request, "param", {})) as page:
        yield page


def shown(viewer: Any) -> tuple[int, str]:
    """Return number and picture of the slice that is shown."""
    return int(viewer.locator(".number").inner_text()), viewer.locator(".stage img").get_attribute("src")


def test_slider_is_moved_by_keys(opened: Any) -> None:
    viewer = opened.locator(".viewer").first
    number, picture = shown(viewer)
    slider = viewer.get_by_role("slider")
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert shown(viewer)[0] == number + 1
    assert shown(viewer)[1] != picture
    assert slider.get_attribute("aria-valuetext").startswith(f"slice {number + 1}, Dice ")
    opened.keyboard.press("Home")
    assert shown(viewer)[0] == 1
    assert viewer.locator(".stage .truth").get_attribute("d") == ""
    assert viewer.locator(".dice").inner_text() == "no tumour, none found"


def test_wheel_over_the_picture_pages_and_at_the_end_scrolls_on(opened: Any) -> None:
    viewer = opened.locator(".viewer").last
    viewer.locator(".stage").hover()
    before, number = opened.evaluate("scrollY"), shown(viewer)[0]
    opened.mouse.wheel(0, 40)
    expect(viewer.locator(".number")).to_have_text(str(number + 1))
    assert opened.evaluate("scrollY") == before
    for _ in range(SLICES):
        opened.mouse.wheel(0, 40)
    expect(viewer.locator(".number")).to_have_text(str(SLICES))
    opened.wait_for_function(f"scrollY > {before}")


def test_picture_is_dragged_sideways(opened: Any) -> None:
    viewer = opened.locator(".viewer").first
    number = shown(viewer)[0]
    viewer.locator(".stage").scroll_into_view_if_needed()
    box = viewer.locator(".stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(*middle)
    opened.mouse.down()
    opened.mouse.move(middle[0] + 21, middle[1])
    opened.mouse.up()
    opened.mouse.move(middle[0] + 60, middle[1])
    assert shown(viewer)[0] == number + 2


def test_viewers_move_apart_from_each_other(opened: Any) -> None:
    viewers = opened.locator(".viewer").all()
    others = [shown(viewer) for viewer in viewers[1:]]
    viewers[0].get_by_role("slider").fill("0")
    assert [shown(viewer) for viewer in viewers[1:]] == others
    assert len(others) == 2


@pytest.mark.parametrize("name", ["truth", "prediction"])
def test_outlines_can_be_taken_away(opened: Any, name: str) -> None:
    viewer = opened.locator(".viewer").first
    outline = viewer.locator(f".stage .{name}")
    expect(outline).to_be_visible()
    viewer.get_by_label(name, exact=True).uncheck()
    expect(outline).to_be_hidden()
    viewer.get_by_label(name, exact=True).check()
    expect(outline).to_be_visible()


@pytest.mark.parametrize("opened", [{"viewport": TELEPHONE}], indirect=True)
def test_page_is_no_wider_than_a_telephone(opened: Any) -> None:
    for part in opened.locator("summary").all():
        part.click()
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = opened.evaluate(
        "[...document.querySelectorAll('.chart text')].map(t => parseFloat(getComputedStyle(t).fontSize)"
        " * t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width)"
    )
    assert min(sizes) > 9.5  # CSS pixels


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_ink_and_ground_part_in_light_and_dark(opened: Any) -> None:
    found = contrast(
        opened, "h1", "p.scope", ".tile .value", ".tile .more", ".caveats li", "nav a", ".scores td.more",
        ".caution th", "code", ".chart text", "figcaption", ".viewer .more", ".dice", ".facts dt",
    )  # fmt: skip
    assert min(found.values()) >= 4.5, found


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_script_a_slice_with_outlines_is_seen_and_no_dead_control(opened: Any) -> None:
    viewer = opened.locator(".viewer").first
    expect(viewer.locator(".stage img")).to_be_visible()
    expect(viewer.locator(".stage .truth")).to_be_visible()
    expect(viewer.get_by_role("slider")).to_be_hidden()


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_paper_is_white_and_has_no_controls(opened: Any) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(opened.get_by_role("slider").first).to_be_hidden()
    expect(opened.locator(".stage .prediction").first).to_be_visible()
    assert opened.evaluate("getComputedStyle(document.querySelector('.chart')).breakInside") == "avoid"


def test_pictures_are_loaded(opened: Any) -> None:
    widths = opened.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(widths) == 3
    assert min(widths) > 16
