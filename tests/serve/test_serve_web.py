"""The web application, asked over a socket: routes, refusals, headers, and what an unexpected error says."""

from __future__ import annotations

import io
import logging
import re
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import block, full_disk, write_known_model, write_known_patient
from gliomask.errors import UsageError
from gliomask.serve import application as application_module
from gliomask.serve.guard import Names, is_loopback, names_of
from gliomask.serve.server import address_of, listen
from gliomask.serve.upload import Limits
from places import ROOT
from serving import Client, serving

EVERYWHERE = "0.0.0.0"  # noqa: S104 - who may ask there is tested
FOUND = np.stack([block(slice(0, 0), slice(0, 0)), block(slice(5, 10), slice(6, 16))])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


@pytest.fixture(scope="module")
def client(model: str) -> Iterator[Client]:
    with serving(model, Limits(size=2**20, files=50)) as running:
        yield running


@pytest.fixture(scope="module")
def done(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """Return an upload of slices in a folder and of a file that is none, and what is told of it at the end."""
    folder = write_known_patient(tmp_path_factory.mktemp("data"), "case", FOUND, None)
    upload = client.send(*((f"ward/case/{path.name}", path) for path in sorted(folder.iterdir())))
    client.put(upload, "ward/broken.nii.gz", b"nothing")
    return upload, client.predict(upload)


def test_slices_are_predicted(client: Client, done: tuple[str, Any]) -> None:
    upload, told = done
    assert (told["state"], told["done"], told["total"], told["files"], told["place"]) == ("done", 2, 2, 3, 0)
    assert {study["name"]: study["failed"] is None for study in told["studies"]} == {"case": True, "broken": False}
    number = [study["name"] for study in told["studies"]].index("case")
    assert client.result(upload, number, told, "case_2_mask.tif").startswith(b"II")
    assert client.result(upload, number, told, "case.gif").startswith(b"GIF8")


def test_masks_are_saved_and_pictures_shown(client: Client, done: tuple[str, Any]) -> None:
    upload, told = done
    number = [study["name"] for study in told["studies"]].index("case")
    for place, file in enumerate(told["studies"][number]["files"]):
        answer = client.ask("GET", f"/uploads/{upload}/results/{number}/{place}")
        kind = "attachment" if file["kind"] == "mask" else "inline"
        assert answer.headers["content-disposition"] == f'{kind}; filename="{file["name"]}"'
        assert len(answer.body) == file["size"]


def test_all_results_in_a_zip(client: Client, done: tuple[str, Any]) -> None:
    answer = client.ask("GET", f"/uploads/{done[0]}/results.zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {"summary.csv", "case/case_1_mask.tif", "case/summary.json"} <= set(archive.namelist())
        assert b"gliomask-" not in archive.read("summary.csv")  # the temporary folder


@pytest.mark.parametrize(
    "path", ["results/0/99", "results/99/0", "results/x/0", "results/-1/0", "results/0/../../x", ""]
)
def test_what_is_not_there_is_not_found(client: Client, done: tuple[str, Any], path: str) -> None:
    answer = client.ask("GET", f"/uploads/{done[0]}/{path}")
    assert answer.status == 404
    assert "; expected " in answer.json["error"]


def test_removed_is_gone(client: Client) -> None:
    upload = client.new()
    client.put(upload, "a.nii", b"x")
    assert client.ask("DELETE", f"/uploads/{upload}").status == 204
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", "/files/a"),
        ("POST", "/predict"),
        ("GET", "/results.zip"),
    ):
        assert client.ask(method, f"/uploads/{upload}{path}").status == 404, path


def test_about(client: Client) -> None:
    about = client.ask("GET", "/about").json
    assert (about["model"], about["precision"], about["size"], about["seconds"]) == ("known", "float32", 2**20, 3600)


def test_too_early_and_too_late(client: Client, done: tuple[str, Any]) -> None:
    upload = client.new()
    assert client.ask("POST", f"/uploads/{upload}/predict").status == 409  # without files
    assert client.ask("GET", f"/uploads/{upload}/results.zip").status == 409
    assert client.put(done[0], "late.nii", b"x").status == 409


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"7"',
        b'{"series": 7}',
        b'{"serie": "7"}',
        b'{"series": "%s"}' % (b"7" * 65),
        b" " * 5000,
        b"\xff",
        b"[" * 1024,
    ],
)
def test_what_comes_with_the_start_is_a_series_or_nothing(client: Client, body: bytes) -> None:
    upload = client.new()
    client.put(upload, "a.png", b"nothing")
    answer = client.ask("POST", f"/uploads/{upload}/predict", body)
    assert answer.status == 400
    assert "of at most 64 letters; leave it out" in answer.json["error"]
    assert client.ask("GET", f"/uploads/{upload}").json["state"] == "receiving"
    for sound in (b'{"series": ""}', b"{}"):
        assert client.ask("POST", f"/uploads/{upload}/predict", sound).status in {202, 409}


def test_what_nobody_looks_at_goes_by_itself(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application_module, "SWEEP", 0.05)
    with serving(model, Limits(seconds=0.2)) as client:
        upload = client.new()
        client.put(upload, "a.nii", b"x")
        time.sleep(1)
        assert client.ask("GET", f"/uploads/{upload}").status == 404


# --- what is sent


def raw(client: Client, *lines: str, body: bytes = b"") -> bytes:
    """Send a request as it stands, which no library would, and return the answer to its end."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "../../../x",
        "a/../../x",
        "%2e%2e/x",
        "a/%2e%2e/%2e%2e/x",
        "/etc/x",
        "%2Fetc%2Fx",
        "C:/x",
        "a%00b",
        "a%5Cb",
        "",
        "con",
    ],
)
def test_nothing_is_written_outside_of_an_upload(client: Client, path: str) -> None:
    upload, host = client.new(), f"Host: 127.0.0.1:{client.port}"
    answer = raw(client, f"PUT /uploads/{upload}/files/{path} HTTP/1.1", host, "Content-Length: 1", body=b"x")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert client.ask("GET", f"/uploads/{upload}").json["files"] == 0


def test_too_much_is_refused_before_it_comes(client: Client) -> None:
    """Nothing of the body is sent: the answer is there all the same."""
    upload, host = client.new(), f"Host: 127.0.0.1:{client.port}"
    answer = raw(client, f"PUT /uploads/{upload}/files/a HTTP/1.1", host, f"Content-Length: {2**20 + 1}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"expected at most 1 MiB" in answer


def test_too_much_of_unknown_length_is_refused_while_it_comes(client: Client) -> None:
    upload = client.new()
    body = (bytes(2**18) for _ in range(5))
    answer = client.ask("PUT", f"/uploads/{upload}/files/a", body)  # in chunks
    assert answer.status == 413
    assert client.ask("GET", f"/uploads/{upload}").json["size"] == 0
    assert client.put(upload, "a", bytes(2**20)).status == 201


def test_a_full_disk_is_told_in_a_line(client: Client) -> None:
    upload = client.new()
    with full_disk():
        answer = client.put(upload, "a.nii", bytes(5000))
    assert (answer.status, list(answer.json)) == (507, ["error"])
    assert answer.json["error"] == "a.nii: no room left on the disk; expected some; remove uploads, or make room"


def test_a_client_that_leaves_is_not_complained_of(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    upload = client.new()
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        head = f"PUT /uploads/{upload}/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsome"
        connection.sendall(head.encode())
        time.sleep(0.1)
    for _ in range(100):
        if client.ask("POST", f"/uploads/{upload}/predict").json["error"].startswith("an upload without files"):
            break
        time.sleep(0.02)
    else:
        pytest.fail("the file is still coming")
    assert caplog.text == ""


# --- who may ask


FOREIGN = [
    "evil.example", "localhost.evil.example", "evil.example:8765", "127.0.0.1@evil.example", "192.168.0.9", "", "[::1",
    "evil/127.0.0.1", "evil@localhost", "localhost?evil", "localhost#evil", "localhost\\evil",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_of_this_computer_are_refused(client: Client, host: str) -> None:
    for path in ("/", "/about", "/uploads"):
        answer = client.ask("GET", path, Host=host)
        assert answer.status == 403
        assert "expected one of" in answer.json["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1", "[::1]:8765"])
def test_its_own_names_are_taken_at_any_port(client: Client, host: str) -> None:
    """Behind ssh -L the port is another one."""
    assert client.ask("GET", "/about", Host=host).status == 200
    assert client.ask("POST", "/uploads", Host=host, Origin=f"http://{host}").status == 201


def test_two_hosts_are_none(client: Client) -> None:
    answer = raw(client, "GET /about HTTP/1.1", "Host: localhost", "Host: evil.example")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},  # another server on this computer
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(client: Client, headers: dict[str, str]) -> None:
    upload = client.new()
    changes = [("POST", "/uploads"), ("PUT", f"/uploads/{upload}/files/a"), ("POST", f"/uploads/{upload}/predict")]
    for method, path in [*changes, ("DELETE", f"/uploads/{upload}")]:
        assert client.ask(method, path, b"x", **headers).status == 403, method
    assert client.ask("GET", f"/uploads/{upload}").json["files"] == 0


def test_no_other_site_is_let_in(client: Client) -> None:
    answer = client.ask("OPTIONS", "/uploads", Origin="http://evil.example", Access_Control_Request_Method="POST")
    assert answer.status == 403
    answers = [answer, client.ask("GET", "/about", Origin="http://evil.example")]
    assert not [name for each in answers for name in each.headers if name.startswith("access-control")]


def test_names_where_others_may_ask() -> None:
    everywhere = names_of(EVERYWHERE)
    assert all(everywhere.include(host) for host in ("192.168.0.9:8765", socket.gethostname(), "localhost"))
    assert not everywhere.include("evil.example")
    assert not names_of("127.0.0.1").include(socket.gethostname() + ".evil.example")
    assert names_of("scanner.ward").include("Scanner.Ward:80")
    assert not Names(frozenset({"a"})).include("a\\@evil")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_is_reached_from_this_computer_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "scanner", "192.168.0.9"])
def test_other_addresses_are_reached_by_others(host: str) -> None:
    assert not is_loopback(host)


# --- every answer


def test_every_answer_carries_the_headers(client: Client, done: tuple[str, Any]) -> None:
    upload = done[0]
    asked = ["/", "/page.js", "/about", "/nothing", f"/uploads/{upload}", f"/uploads/{upload}/results/0/0",
             f"/uploads/{upload}/results.zip"]  # fmt: skip
    answers = [
        *(client.ask("GET", path) for path in asked),
        client.ask("GET", "/", Host="evil"),
        client.ask("PUT", "/"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert "server" not in answer.headers


def test_the_page_asks_for_nothing_from_elsewhere(client: Client) -> None:
    page = client.ask("GET", "/").body.decode()
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert own
    assert all(re.fullmatch(r"/[a-z.]+", path) and client.ask("GET", path).status == 200 for path in own)
    texts = [path.read_text() for path in (Path(application_module.__file__).parent / "page").iterdir()]
    outside = {url for text in texts for url in re.findall(r"https?://[^\s\"'`]+", text)}
    assert outside == {"http://www.w3.org/2000/svg"}  # the name of a kind of picture
    assert not [
        text for text in texts if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    ]
    assert not re.search(r"<script>|<style>| style=| on[a-z]+=", page)


def test_other_methods_and_addresses_say_so(client: Client) -> None:
    assert client.ask("GET", "/uploads").json["error"].startswith("GET, which this address does not take; expected ")
    assert client.ask("GET", "/../../etc/passwd").status == 404
    assert client.ask("GET", "/page.html").status == 404


def test_an_unexpected_error_is_no_traceback(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("Jane Doe")

    upload = client.new()
    monkeypatch.setattr(application_module, "tell", broken)
    with caplog.at_level(logging.DEBUG):
        answer = client.ask("GET", f"/uploads/{upload}")
        for _ in range(100):  # is logged after it was answered
            time.sleep(0 if caplog.text else 0.02)
    assert answer.status == 500
    assert re.match(r"an unexpected error \(KeyError at test_serve_web.py:\d+\); expected none; ", answer.json["error"])
    assert "an unexpected error (KeyError" in caplog.text
    assert "Jane" not in answer.body.decode() + caplog.text
    assert upload not in caplog.text


def test_nothing_is_logged(client: Client, done: tuple[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.ask("GET", f"/uploads/{done[0]}")
        client.put(client.new(), "Jane.nii", b"x")
    assert caplog.text == ""


# --- the socket


def test_a_port_that_is_taken_is_told(client: Client) -> None:
    with pytest.raises(UsageError, match=rf"port {client.port} is in use; expected .*; choose another --port"):
        listen("127.0.0.1", client.port)
    with pytest.raises(UsageError, match=r"cannot listen at host\.invalid"):
        listen("host.invalid", 0)


def test_small_answers_are_not_held_back() -> None:
    """asyncio switches that off (Nagle's algorithm) for sockets that say they are TCP's."""
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_address_is_one_that_a_browser_takes() -> None:
    for host in ("127.0.0.1", "localhost", EVERYWHERE):
        with listen(host, 0) as listening:
            assert re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):\d+/", address_of(listening))


def test_routes_in_the_documentation_are_those_that_there_are() -> None:
    text = (ROOT / "docs" / "web.md").read_text()
    told = set(re.findall(r"^\| `([A-Z]+ /[^`]*)`", text, flags=re.MULTILINE))
    drawn = set(re.findall(r"^``([A-Z]+ /[^`]*)``", application_module.__doc__ or "", flags=re.MULTILINE))
    assert told == drawn - {"GET /"}
    assert len(told) == 8
