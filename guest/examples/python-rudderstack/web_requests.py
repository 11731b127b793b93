"""The package `requests`, whose requests the host sends, and `geolocation`.

`requests` itself does everything but the connection: sessions, cookies, redirects, encodings and
errors are its own. The host allows only the servers of `[plugin.network]`, checks the address of
each redirect, and limits the number, the time and the size.
"""

import importlib
import io
import json
import math
from email.message import Message
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

import requests
from componentize_py_types import Err
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from wit_world.imports import geolocation as database
from wit_world.imports import web

# What transformations can import.
MODULES = """
    requests requests.adapters requests.api requests.auth requests.cookies requests.exceptions
    requests.models requests.sessions requests.status_codes requests.structures requests.utils
""".split()

# By the kinds of failures of the contract. Any other kind is a `ConnectionError`.
ERRORS = {
    web.FailureKind.INVALID: exceptions.InvalidURL,
    web.FailureKind.TIMEOUT: exceptions.ReadTimeout,
    web.FailureKind.TOO_LARGE: exceptions.ChunkedEncodingError,
}

# Where a record of the database has what RudderStack's service answers.
PLACE = {
    "city": ("city", "names", "en"),
    "country": ("country", "iso_code"),
    "region": ("subdivisions", 0, "names", "en"),
    "postal": ("postal", "code"),
    "timezone": ("location", "time_zone"),
}


class GeolocationServerError(BaseException):
    """There is no database of locations. As in RudderStack, `except Exception` does not catch
    it, so the event is not delivered without its location."""


class ReceivedHead:
    """The headers of a response, where `requests` looks for cookies."""

    def __init__(self, headers: list):
        self.msg = Message()
        for name, value in headers:
            self.msg.add_header(name, value)

    def isclosed(self) -> bool:
        return True

    def close(self):
        pass


def send(
    self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None
) -> requests.Response:
    """Takes the place of `HTTPAdapter.send`."""
    if not urlsplit(request.url).hostname:
        raise exceptions.InvalidURL(f"Invalid URL {request.url!r}: No host supplied", request=request)
    sent = web.Request(
        method=request.method,
        url=request.url,
        # The host sets it from the URL.
        headers=[
            (to_text(name), to_text(value))
            for name, value in request.headers.items()
            if to_text(name).lower() != "host"
        ],
        body=body_of(request),
        # `requests` itself follows redirects.
        redirects=web.Redirects.MANUAL,
        timeout_ms=timeout_ms(timeout),
    )
    [result] = web.fetch_all([sent])
    if isinstance(result, Err):
        error = ERRORS.get(result.value.kind, exceptions.ConnectionError)
        raise error(result.value.message, request=request)
    received = result.value
    raw = HTTPResponse(
        body=io.BytesIO(received.body),
        headers=HTTPHeaderDict(received.headers),
        status=received.status,
        reason=reason_of(received.status),
        preload_content=False,
        original_response=ReceivedHead(received.headers),
        request_method=request.method,
        request_url=request.url,
    )
    return self.build_response(request, raw)


def to_text(value) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def body_of(request) -> bytes:
    """The whole body: files and iterators are read."""
    body = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    if hasattr(body, "read"):
        body = body.read()
        return body.encode() if isinstance(body, str) else body
    return b"".join(part.encode() if isinstance(part, str) else part for part in body)


def timeout_ms(timeout) -> int | None:
    """The host has one limit for connection and response: the sum of the two."""
    parts = timeout if isinstance(timeout, tuple) else (timeout,)
    seconds = [part for part in parts if part is not None]
    if not seconds:
        return None
    if any(part <= 0 for part in seconds):
        raise ValueError(f"the timeout {timeout!r} must be greater than 0")
    return math.ceil(min(sum(seconds) * 1000, 2**32 - 1))


def reason_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def geolocation(*addresses) -> dict:
    """Looks up an IP address in the database of the operator, and answers as RudderStack's
    service does."""
    if len(addresses) != 1 or not isinstance(addresses[0], str):
        raise ValueError("geolocation() takes a single string argument: an IP address")
    [address] = addresses
    try:
        ip_address(address)
    except ValueError:
        raise ValueError("invalid ip address") from None
    try:
        found = database.locate(address)
    except Err as error:
        raise GeolocationServerError(error.value) from None
    record = json.loads(found) if found else {}
    latitude, longitude = (member(record, ("location", key)) for key in ("latitude", "longitude"))
    has_location = isinstance(latitude, (int, float)) and isinstance(longitude, (int, float))
    place = {"ip": address}
    for key, path in PLACE.items():
        text = member(record, path)
        place[key] = text if isinstance(text, str) else ""
    place["location"] = f"{latitude:.6f},{longitude:.6f}" if has_location else ""
    return place


def member(value, path: tuple):
    for key in path:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return None
    return value


def create_modules() -> dict:
    """The modules of `requests` by their names, with the connection of the host."""
    HTTPAdapter.send = send
    return {name: importlib.import_module(name) for name in MODULES}
