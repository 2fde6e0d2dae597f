"""Serve a page and what it asks for: files from the package, JSON, images; to whom the guard lets through."""

import json
import secrets
import socket
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distal.errors import ConfigError, DistalError
from distal.label.guard import HERE, Guard, TooLargeError
from distal.run.directory import RunDirectory

TOKEN = ".label-token"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css"}

Answer = Callable[[Mapping[str, Any]], Any]
"""Turn the fields of a request into what JSON can hold. Raises DistalError, KeyError, TypeError or ValueError."""


ASSETS = ("page.css", "page.js", "label.js", "one.js", "grid.js", "review.js", "viewer.js", "waiting.js", "judge.js")


def page_app(page: str, routes: list[Route], token: str, hosts: frozenset[str] | None) -> Guard:
    """Return the application of a page, `label` or `judge`: itself at /, its files beside it, and `routes`."""
    assets = [Route(f"/{name}", _sent(_bytes_of(name), TYPES[name[name.rindex(".") :]])) for name in ASSETS]
    whole = _bytes_of("head.html").replace(b"PAGE", page.encode()) + _bytes_of(f"{page}.html")
    app = Starlette(
        routes=[Route("/", _sent(whole, TYPES[".html"])), *assets, *routes],
        exception_handlers={TooLargeError: _too_large, Exception: _failed},
    )
    return Guard(app, token, hosts)


def asked(path: str, answer: Answer) -> Route:
    """Answer GET requests of a path by the fields of their query."""

    async def endpoint(request: Request) -> Response:
        return await _answered(answer, dict(request.query_params))

    return Route(path, endpoint, methods=["GET"])


def told(path: str, answer: Answer) -> Route:
    """Answer POST requests of a path by the fields of their JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError):
            return _refused(400, "expected: JSON")
        return await _answered(answer, fields)

    return Route(path, endpoint, methods=["POST"])


def shown(path: str, image: Callable[[Mapping[str, Any], Mapping[str, str]], tuple[bytes, str, str]]) -> Route:
    """Answer with images: bytes, media type and a text about it, by the fields of the path and of the query."""

    async def endpoint(request: Request) -> Response:
        try:
            data, kind, about = await run_in_threadpool(image, request.path_params, dict(request.query_params))
        except (KeyError, ValueError):
            return _refused(404, "there is no such image")
        except DistalError as error:
            return _refused(409, str(error))
        headers = {"cache-control": "private, max-age=3600", "x-about": quote(about)}
        return Response(data, media_type=kind, headers=headers)

    return Route(path, endpoint, methods=["GET"])


def token_of(run: RunDirectory) -> str:
    """Return the secret of a run's page; a local run keeps it, so that an open page outlives its server."""
    if run.local is None:
        return secrets.token_urlsafe(24)
    if run.has(TOKEN) and len(kept := run.read(TOKEN).decode("ascii", errors="replace")) >= 24 and kept.isascii():
        return kept
    token = secrets.token_urlsafe(24)
    run.write(TOKEN, token.encode())
    return token


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at this address; where the port is taken, at any that is free.

    Whoever follows the link before the server has started waits for it, and is not refused.

    Raises:
        ConfigError: there is no such address on this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError:
            listening.bind((address[0], 0, *address[2:]))
        listening.listen()
    except OSError as error:
        raise ConfigError(
            f"host: '{host}' is no address of this machine: {error.strerror}\n"
            "expected: 127.0.0.1, or 0.0.0.0 to serve other machines as well"
        ) from None
    return listening


def hosts_of(host: str) -> frozenset[str] | None:
    """Return the host names that a page at this address is reached by, None for any."""
    return HERE if host in HERE else None


def link_to(listening: socket.socket, token: str) -> str:
    """Return the link that people open."""
    host, port = listening.getsockname()[:2]
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/?token={token}"


def server(app: Any) -> uvicorn.Server:
    """Return what serves: `run(sockets=[...])` until its attribute `should_exit` is set."""
    return uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=2
        )
    )


def _bytes_of(name: str) -> bytes:
    return files("distal.label").joinpath("page", name).read_bytes()


def _sent(data: bytes, kind: str) -> Callable[[Request], Any]:
    async def endpoint(_: Request) -> Response:
        return Response(data, media_type=kind, headers={"cache-control": "no-cache"})

    return endpoint


async def _answered(answer: Answer, fields: Any) -> Response:
    if not isinstance(fields, dict):
        return _refused(400, "expected: a JSON object")
    try:
        return JSONResponse(await run_in_threadpool(answer, fields), headers={"cache-control": "no-store"})
    except DistalError as error:
        return _refused(409, str(error))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return _refused(400, f"the request lacks something, or has it wrong: {str(error)[:200]}")


def _refused(status: int, reason: str) -> Response:
    sendable = reason.encode("utf-8", "replace").decode()  # JSON may bring half a character, which nobody can send
    return JSONResponse({"error": sendable}, status_code=status, headers={"cache-control": "no-store"})


async def _too_large(_: Request, error: Exception) -> Response:
    return _refused(413, str(error))


async def _failed(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _refused(error.status_code, error.detail)
    return _refused(500, "the page's server failed; its log says why")
