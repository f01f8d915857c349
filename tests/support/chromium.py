"""A real browser for tests, which listens for complaints and for whom a page asks. Knows no page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(
    _PROGRAM is None, reason="no Chromium is installed (looked for chromium, google-chrome)"
)
TELEPHONE = {"width": 360, "height": 740}
expect = playwright_api.expect
_CONTRAST = """queries => {
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
  for (const query of queries) {
    const element = document.querySelector(query);
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance).sort((x, y) => y - x);
    found[query] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser."""
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=_PROGRAM, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened_page(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """Open a page, let a test act, and see that nothing was complained of and nothing from elsewhere asked for."""
    context = browser.new_context(**options)
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
    assert [url for url in requests if not url.startswith((address, "data:"))] == []


def contrast(page: Any, *queries: str) -> dict[str, float]:
    """Return the WCAG 2.2 contrast of the first text that each query finds and of what is behind it."""
    found: dict[str, float] = page.evaluate(_CONTRAST, list(queries))
    return found
