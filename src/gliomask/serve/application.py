"""The web application: which address does what. Knows neither files nor models, but who does.

====================================  =================================================================
``GET /``                             the page (``/page.css``, ``/*.js``, ``/icon.svg``)
``GET /about``                        model, precision, version, limits
``POST /uploads``                     begins an upload; its id
``PUT /uploads/ID/files/PATH``        a file of it, as the body of the request
``POST /uploads/ID/predict``          no more files come: predict
``GET /uploads/ID``                   how far it is, and its studies
``GET /uploads/ID/results/N/M``       file M of study N, both counted from 0
``GET /uploads/ID/results.zip``       all results
``DELETE /uploads/ID``                removes it and all of its files
====================================  =================================================================

Errors are ``{"error": "what came; what was expected; the cure"}``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from gliomask.errors import NoRoomError, TooLargeError, UnknownUploadError, UploadError, UploadStateError
from gliomask.serve.guard import Guard, Names
from gliomask.serve.jobs import Jobs
from gliomask.serve.told import pack, result_file, tell
from gliomask.serve.trouble import sentence
from gliomask.serve.uploads import Uploads

SWEEP = 20.0
"""Seconds between two looks for uploads that nobody looks at."""
_PAGE = Path(__file__).resolve().parent / "page"
_ASSETS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LONGEST_SERIES, _LONGEST_BODY = 64, 1024
_PIECE = 2**20  # bytes that are written at a time
_STATUS: dict[type[UploadError], int] = {
    UnknownUploadError: 404, UploadStateError: 409, TooLargeError: 413, NoRoomError: 507, UploadError: 400,
}  # fmt: skip


def application(uploads: Uploads, jobs: Jobs, names: Names, about: Mapping[str, Any]) -> Guard:
    """Return the web application.

    Parameters
    ----------
    uploads
        All that there are.
    jobs
        Who predicts them.
    names
        By which names this computer may be asked.
    about
        What is told of the model and the limits.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(uploads))
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping

    routes = [*_page_routes(), Route("/about", lambda _: JSONResponse(dict(about))), *_upload_routes(uploads, jobs)]
    errors: dict[Any, Callable[..., Any]] = {UploadError: _refused, HTTPException: _not_found, Exception: _unexpected}
    app = Starlette(routes=routes, exception_handlers=errors, lifespan=lifespan)
    app.router.redirect_slashes = False
    return Guard(app, names)


def _page_routes() -> list[Route]:
    """Return the page and what belongs to it, read once."""

    def serving(path: Path, kind: str) -> Callable[[Request], Response]:
        content = path.read_bytes()
        return lambda _: Response(content, media_type=kind)

    assets = [path for path in sorted(_PAGE.iterdir()) if path.suffix in _ASSETS]
    routes = [Route(f"/{path.name}", serving(path, _ASSETS[path.suffix])) for path in assets]
    return [Route("/", serving(_PAGE / "page.html", "text/html")), *routes]


def _upload_routes(uploads: Uploads, jobs: Jobs) -> list[Route]:
    """Return what can be done with uploads; plain functions are run in threads of their own."""

    def begin(_: Request) -> Response:
        return JSONResponse({"id": uploads.new().id}, 201)

    async def receive(request: Request) -> Response:
        upload = uploads.get(request.path_params["upload"])
        size = 0
        with upload.file(request.path_params["path"], _length(request)) as write:
            async for piece in _pieces(request):
                await run_in_threadpool(write, piece)
                size += len(piece)
        return JSONResponse({"size": size}, 201)

    async def start(request: Request) -> Response:
        upload = uploads.get(request.path_params["upload"])
        jobs.start(upload, _series(await _beginning(request)))
        return JSONResponse(tell(upload, jobs.place(upload)), 202)

    def show(request: Request) -> Response:
        upload = uploads.get(request.path_params["upload"])
        return JSONResponse(tell(upload, jobs.place(upload)))

    def fetch(request: Request) -> Response:
        upload = uploads.get(request.path_params["upload"])
        found = result_file(upload, request.path_params["study"], request.path_params["number"])
        disposition = "attachment" if found.kind == "mask" else "inline"
        return FileResponse(found.path, filename=found.path.name, content_disposition_type=disposition)

    def fetch_all(request: Request) -> Response:
        return FileResponse(pack(uploads.get(request.path_params["upload"])), filename="gliomask-results.zip")

    def remove(request: Request) -> Response:
        uploads.remove(request.path_params["upload"])
        return Response(status_code=204)

    return [
        Route("/uploads", begin, methods=["POST"]),
        Route("/uploads/{upload}/files/{path:path}", receive, methods=["PUT"]),
        Route("/uploads/{upload}/predict", start, methods=["POST"]),
        Route("/uploads/{upload}/results/{study:int}/{number:int}", fetch),
        Route("/uploads/{upload}/results.zip", fetch_all),
        Route("/uploads/{upload}", show),
        Route("/uploads/{upload}", remove, methods=["DELETE"]),
    ]


async def _beginning(request: Request) -> bytes:
    """Return the body of a request that should have a few words, but no more of it than is needed to see that."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            break
    return body


def _series(body: bytes) -> str | None:
    """Return which series is FLAIR, of the body of a request for a prediction; None if it does not say.

    Raises
    ------
    UploadError
        If the body is something else.
    """
    try:
        told = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        told = None
    series = told.get("series", "") if isinstance(told, dict) and told.keys() <= {"series"} else None
    if not isinstance(series, str) or len(series) > _LONGEST_SERIES:
        said = f'expected nothing, or {{"series": "..."}} of at most {_LONGEST_SERIES} letters'
        raise UploadError(f"what was sent with the start is something else; {said}; leave it out")
    return series.strip() or None


def _length(request: Request) -> int | None:
    """Return how many bytes are to come, if that was told."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdecimal() else None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces that are worth a thread."""
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) >= _PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _sweep(uploads: Uploads) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        await run_in_threadpool(uploads.sweep)


def _refused(_: Request, error: UploadError) -> Response:
    return JSONResponse({"error": str(error)}, _STATUS[type(error)])


def _not_found(request: Request, error: HTTPException) -> Response:
    found = "no such address" if error.status_code == 404 else f"{request.method}, which this address does not take"
    said = f"{found}; expected one of those in docs/web.md; check it"
    return JSONResponse({"error": said}, error.status_code, headers=error.headers)


def _unexpected(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": sentence(error)}, 500)
