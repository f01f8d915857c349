"""The web page in a real browser: what is dropped comes back as cards; names are text; nothing goes elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import block, write_known_model, write_known_patient
from chromium import TELEPHONE, chromium, contrast, expect, needs_chromium, opened_page
from dicom_builders import write_series
from serving import Client, serving
from volume_pairs import save, scan, turned

pytestmark = needs_chromium
FOUND = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])
EVIL = "<img src=x onerror=document.title='hit'>"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(str(write_known_model(tmp_path_factory.mktemp("known")))) as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with slices (one study without tumour, one with an evil name), a volume, and what is no image."""
    folder = tmp_path_factory.mktemp("data") / "ward"
    write_known_patient(folder, "healthy", FOUND & False, None)
    write_known_patient(folder, EVIL, FOUND, None)
    save(folder / "p1" / "p1_flair.nii.gz", *turned(scan()[0], (0, 1, 2), (-1, 1, 1)))
    (folder / "broken.nii.gz").write_bytes(b"nothing")
    (folder / ".DS_Store").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any, client: Client, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open the page, let the test act, and see that no name of a file was run."""
    with opened_page(browser, f"http://127.0.0.1:{client.port}/", **getattr(request, "param", {})) as opened:
        yield opened
        assert opened.title() == "gliomask: masks of gliomas"


@pytest.fixture(scope="module")
def upload(client: Client, data: Path) -> str:
    """Return the id of the folder when it is predicted: tests that only look need not wait."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name != ".DS_Store"]
    sent = client.send(*((path.relative_to(data.parent).as_posix(), path) for path in files))
    client.predict(sent)
    return sent


def look(page: Any, upload: str) -> None:
    """Show an upload that was sent before, as after a reload of the page."""
    page.evaluate(f"sessionStorage.setItem('gliomask-uploads', '[\"{upload}\"]')")
    page.reload()
    expect(page.locator(".study")).to_have_count(4)


def send(page: Any, data: Path) -> None:
    """Choose a folder, and wait for the end of its prediction."""
    page.set_input_files("#folder", data)
    expect(page.locator(".state")).to_have_text("Done: 3 studies, and 1 without result", timeout=30_000)


def card(page: Any, name: str) -> Any:
    return page.locator(".study").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_folder_comes_back_as_cards(page: Any, data: Path) -> None:
    send(page, data)
    expect(page.locator(".study h3")).to_have_count(4)
    volume, healthy, evil = (card(page, name) for name in ("p1_flair", "healthy", EVIL))
    expect(healthy.locator(".verdict")).to_have_text("EMPTY MASK: no tumour found")
    expect(volume.locator(".facts")).to_contain_text("ml")
    expect(volume.locator(".facts")).to_contain_text("mm")
    expect(volume.locator(".facts")).to_contain_text("FLAIR alone")
    expect(evil.locator(".facts")).to_contain_text(f"{FOUND.sum()} pixels")
    expect(card(page, "broken")).to_contain_text("ward/broken.nii.gz: ")
    assert page.locator(".warnings li").count() >= 1


def test_names_are_text_and_nothing_of_them_is_run(page: Any, upload: str) -> None:
    look(page, upload)
    expect(card(page, EVIL).get_by_role("heading")).to_have_text(EVIL)
    card(page, EVIL).get_by_role("button").first.click()
    expect(page.locator("#viewer-title")).to_contain_text(EVIL)
    assert page.locator("img[onerror]").count() == 0
    assert page.title() == "gliomask: masks of gliomas"


def test_evil_names_that_fail_are_text_too(page: Any, tmp_path: Path) -> None:
    (tmp_path / f"{EVIL}.nii.gz").write_bytes(b"nothing")
    page.set_input_files("#files", tmp_path / f"{EVIL}.nii.gz")
    expect(page.locator(".study.failed")).to_contain_text(EVIL)
    assert page.locator("img[onerror]").count() == 0


def test_masks_and_zip_are_saved_under_their_names(page: Any, upload: str) -> None:
    look(page, upload)
    with page.expect_download() as saved:
        page.get_by_role("link", name="p1_flair_mask.nii.gz").click()
    assert saved.value.suggested_filename == "p1_flair_mask.nii.gz"
    with page.expect_download() as packed:
        page.get_by_role("link", name="Download all (zip)").click()
    with zipfile.ZipFile(packed.value.path()) as archive:
        assert archive.read("p1_flair/p1_flair_mask.nii.gz") == Path(saved.value.path()).read_bytes()
        assert "summary.csv" in archive.namelist()


def test_removed_is_gone_from_page_and_disk(page: Any, client: Client, data: Path) -> None:
    send(page, data)
    address = page.get_by_role("link", name="Download all (zip)").get_attribute("href")
    page.get_by_role("button", name="Remove files and results of upload 1").click()
    expect(page.locator(".upload")).to_have_count(0)
    expect(page.locator("#live")).to_have_text("Upload and results are removed")
    expect(page.locator("#choose-files")).to_be_focused()
    assert client.ask("GET", address.removesuffix("/results.zip")).status == 404


def test_uploads_are_there_after_a_reload_and_several_follow_each_other(page: Any, data: Path) -> None:
    send(page, data)
    page.set_input_files("#files", data / "p1" / "p1_flair.nii.gz")
    expect(page.locator(".upload")).to_have_count(2)
    expect(page.locator(".state").first).to_have_text("Done: 1 study")
    page.reload()
    expect(page.locator(".study")).to_have_count(5)


def test_folder_is_dropped(page: Any, data: Path) -> None:
    """As a file manager does it: folders are read to any depth, hidden files are not sent."""
    box = page.locator("#drop").bounding_box()
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 20, "y": box["y"] + 20}
        files = {"items": [], "files": [str(data)], "dragOperationsMask": 1}
        devtools.send("Input.dispatchDragEvent", {**event, "data": files})
    expect(page.locator(".state")).to_have_text("Done: 3 studies, and 1 without result", timeout=30_000)
    expect(page.locator(".upload h2")).to_contain_text("Upload 1: 6 files")


def test_a_series_is_chosen_where_its_description_does_not_say_flair(page: Any, tmp_path: Path) -> None:
    for number, words in ((1, "Ax T2"), (2, "Ax XYZ")):
        array, affine = turned(scan()[0], (0, 1, 2), (1, 1, 1))
        write_series(tmp_path / "study" / str(number), array, affine, series=number, SeriesDescription=words)
    page.set_input_files("#folder", tmp_path / "study")
    listed = card(page, "study")
    expect(listed).to_contain_text("no FLAIR series among series 1 (Ax T2; 6 slices, axial), series 2", timeout=30_000)
    expect(listed).to_contain_text("a part of its description (FLAIR series, below the buttons)")
    page.get_by_label("FLAIR series").fill("xyz")
    page.set_input_files("#folder", tmp_path / "study")
    expect(page.locator(".state").first).to_have_text("Done: 1 study", timeout=30_000)
    expect(page.locator(".study").first.locator(".facts")).to_contain_text("series 2 (Ax XYZ; 6 slices, axial)")
    expect(page.get_by_label("FLAIR series")).to_have_value("")  # it is not that of the next patient


def test_what_is_too_much_is_not_sent(page: Any, data: Path) -> None:
    page.route("**/about", lambda route: route.fulfill(json=ABOUT))
    page.reload()
    expect(page.locator("#about")).to_contain_text("An upload may have 0.0 MiB")
    page.set_input_files("#files", data / "p1" / "p1_flair.nii.gz")
    expect(page.get_by_role("alert")).to_contain_text("expected at most 0.0 MiB")
    expect(page.locator(".upload")).to_have_count(0)


ABOUT = {"model": "known", "precision": "float32", "version": "0", "size": 1, "files": 9, "seconds": 3600}


def test_why_files_are_not_taken_stays_to_be_read(browser: Any, client: Client, data: Path) -> None:
    page = browser.new_page()
    page.route("**/files/**", lambda route: route.fulfill(status=507, json={"error": "no room left"}))
    page.goto(f"http://127.0.0.1:{client.port}/")
    page.set_input_files("#files", data / "p1" / "p1_flair.nii.gz")
    expect(page.locator(".state")).to_have_text("Not sent. no room left")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    expect(page.locator(".state")).to_have_text("Not sent. no room left")
    page.close()


def test_viewer_is_used_by_keys(page: Any, upload: str) -> None:
    look(page, upload)
    opener = card(page, "p1_flair").get_by_role("button").first
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-title")).to_have_text("p1_flair: Image, probability, mask")
    expect(page.locator("#viewer-picture")).to_have_js_property("complete", True)
    assert page.evaluate("document.querySelector('#viewer-picture').naturalWidth") > 100
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-title")).to_have_text("p1_flair: Three planes")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-title")).to_have_text("p1_flair: Slices in motion")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(opener).to_be_focused()


@pytest.mark.parametrize("page", [{"viewport": TELEPHONE}], indirect=True)
def test_page_is_no_wider_than_a_telephone(page: Any, upload: str) -> None:
    look(page, upload)
    for part in page.locator("summary").all():
        part.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_ink_and_ground_part_in_light_and_dark(page: Any, upload: str) -> None:
    look(page, upload)
    found = contrast(
        page, "h1", ".scope", ".caveat", "#drop h2", "#drop .more", "button", ".primary", "summary", ".state",
        ".study h3", ".verdict", ".facts dt", ".facts dd", ".warnings li", ".pictures .name", ".downloads a",
        "footer", "#series",
    )  # fmt: skip
    assert min(found.values()) >= 4.5, found
