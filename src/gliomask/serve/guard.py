"""Who may ask, and what every answer carries: the web application's outer door. Knows no upload.

A page of another site that a user has open must neither read images nor send any: the name by which this computer is
asked must be one of its own (a foreign name may be made to lead here), and what changes something must not come from
another page.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gliomask.serve.trouble import sentence

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_READING = {"GET", "HEAD"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Names:
    """By which names this computer may be asked.

    Attributes
    ----------
    known
        Lower-case names.
    addresses
        Whether any address in numbers is one, too: what is asked by a number is asked by no foreign name.
    """

    known: frozenset[str]
    addresses: bool = False

    def include(self, host: str) -> bool:
        """Tell whether the value of a Host header, with or without a port, is one of them."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if set(host) & set("/\\@?# "):
            return False
        return name in self.known or (self.addresses and _is_address(name))


def names_of(host: str) -> Names:
    """Return the names of this computer where it listens at ``host``."""
    own = {"localhost", "127.0.0.1", "::1", host.lower()}
    if is_loopback(host):
        return Names(frozenset(own))
    return Names(frozenset({*own, socket.gethostname().lower()}), addresses=True)


def is_loopback(host: str) -> bool:
    """Tell whether only this computer reaches what listens there."""
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


class Guard:
    """Wraps the application: refuses foreign hosts and origins, adds the headers, keeps names out of logs.

    Parameters
    ----------
    app
        The application.
    names
        By which names it may be asked.
    """

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if (reason := self._refusal(scope["method"], Headers(scope=scope))) is not None:
            await JSONResponse({"error": reason}, 403)(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except ClientDisconnect:  # nobody is there to be answered
            return
        except Exception as error:  # was answered; is logged without its text, which may name a file
            _log.error("%s", sentence(error))

    def _refusal(self, method: str, headers: Headers) -> str | None:
        """Return why a request is not answered; None if it is."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.include(hosts[0]):
            came = hosts[0] if len(hosts) == 1 else f"{len(hosts)} names"
            cure = "use the address that was printed, or start with --host NAME"
            return f"asked by the name {came!r}; expected one of {_listed(self._names.known)}; {cure}"
        if method in _READING:
            return None
        origins = headers.getlist("origin")
        own = {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}
        foreign = [origin for origin in origins if origin.lower() not in own]
        if foreign or headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            came = repr(foreign[0]) if foreign else "another site"
            return f"sent by a page of {came}; expected the page of this address; open it and send from there"
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
