"""The page in a real browser: slices can be scrolled, nothing leaves the page, nothing is wider than a telephone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from builders import tiny_dataset
from gliomask.cli.report import main
from gliomask.config import SplitConfig
from gliomask.data.index import build_index
from report_runs import SLICES, write_run, write_scored

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = next((found for name in _NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (looked for chromium, google-chrome)"
)
TELEPHONE = {"width": 360, "height": 740}


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
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open the page, let the test act, and see that nothing was complained of and nothing asked for."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []
    assert [url for url in requests if url != address and not url.startswith("data:")] == []


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
    playwright_api.expect(viewer.locator(".number")).to_have_text(str(number + 1))
    assert opened.evaluate("scrollY") == before
    for _ in range(SLICES):
        opened.mouse.wheel(0, 40)
    playwright_api.expect(viewer.locator(".number")).to_have_text(str(SLICES))
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
    playwright_api.expect(outline).to_be_visible()
    viewer.get_by_label(name, exact=True).uncheck()
    playwright_api.expect(outline).to_be_hidden()
    viewer.get_by_label(name, exact=True).check()
    playwright_api.expect(outline).to_be_visible()


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
    contrast = opened.evaluate(CONTRAST)
    assert min(contrast.values()) >= 4.5, contrast
    assert len(contrast) > 8


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_script_a_slice_with_outlines_is_seen_and_no_dead_control(opened: Any) -> None:
    viewer = opened.locator(".viewer").first
    playwright_api.expect(viewer.locator(".stage img")).to_be_visible()
    playwright_api.expect(viewer.locator(".stage .truth")).to_be_visible()
    playwright_api.expect(viewer.get_by_role("slider")).to_be_hidden()


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True)
def test_paper_is_white_and_has_no_controls(opened: Any) -> None:
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    playwright_api.expect(opened.get_by_role("slider").first).to_be_hidden()
    playwright_api.expect(opened.locator(".stage .prediction").first).to_be_visible()
    assert opened.evaluate("getComputedStyle(document.querySelector('.chart')).breakInside") == "avoid"


def test_pictures_are_loaded(opened: Any) -> None:
    widths = opened.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(widths) == 3
    assert min(widths) > 16


CONTRAST = """() => {
  const channel = v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const query of ["h1", "p.scope", ".tile .value", ".tile .more", ".caveats li", "nav a", ".scores td.more",
                       ".caution th", "code", ".chart text", "figcaption", ".viewer .more", ".dice", ".facts dt"]) {
    const element = document.querySelector(query);
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance).sort((x, y) => y - x);
    found[query] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""
"""WCAG 2.2 contrast of text and what is behind it, by kind of text."""
