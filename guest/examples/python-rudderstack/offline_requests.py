"""The modules `requests` and `requests.*` without a network: a call raises what it raises
when the server cannot be reached.

A mapping plugin has no network. The names exist, so that code loads and its `except`
clauses work.
"""

import types
from urllib.parse import urlsplit

NO_NETWORK = "a mapping plugin has no network: remove the request, or catch this error"


class RequestException(IOError):
    def __init__(self, *arguments, request=None, response=None):
        super().__init__(*arguments)
        self.request = request
        self.response = response


class InvalidJSONError(RequestException):
    pass


class JSONDecodeError(InvalidJSONError, ValueError):
    pass


class HTTPError(RequestException):
    pass


class ConnectionError(RequestException):
    pass


class ProxyError(ConnectionError):
    pass


class SSLError(ConnectionError):
    pass


class Timeout(RequestException):
    pass


class ConnectTimeout(ConnectionError, Timeout):
    pass


class ReadTimeout(Timeout):
    pass


class URLRequired(RequestException):
    pass


class TooManyRedirects(RequestException):
    pass


class MissingSchema(RequestException, ValueError):
    pass


class InvalidSchema(RequestException, ValueError):
    pass


class InvalidURL(RequestException, ValueError):
    pass


class InvalidHeader(RequestException, ValueError):
    pass


class ChunkedEncodingError(RequestException):
    pass


class ContentDecodingError(RequestException):
    pass


class RetryError(RequestException):
    pass


EXCEPTIONS = [
    value
    for value in list(globals().values())
    if isinstance(value, type) and issubclass(value, RequestException)
]


def request(method, url, **options):
    """Checks the address as `requests` does, and then fails."""
    parts = urlsplit(url if isinstance(url, str) else str(url))
    if not parts.scheme:
        raise MissingSchema(
            f"Invalid URL {url!r}: No scheme supplied. Perhaps you meant https://{url}?"
        )
    if parts.scheme not in ("http", "https"):
        raise InvalidSchema(f"No connection adapters were found for {url!r}")
    if not parts.hostname:
        raise InvalidURL(f"Invalid URL {url!r}: No host supplied")
    # The path and the query can hold secrets, and this message goes to the dead letters.
    raise ConnectionError(f"no connection to {parts.hostname}: {NO_NETWORK}")


def get(url, params=None, **options):
    return request("get", url, params=params, **options)


def options(url, **options):
    return request("options", url, **options)


def head(url, **options):
    return request("head", url, **options)


def post(url, data=None, json=None, **options):
    return request("post", url, data=data, json=json, **options)


def put(url, data=None, **options):
    return request("put", url, data=data, **options)


def patch(url, data=None, **options):
    return request("patch", url, data=data, **options)


def delete(url, **options):
    return request("delete", url, **options)


FUNCTIONS = [request, get, options, head, post, put, patch, delete]


class HTTPAdapter:
    def __init__(self, *arguments, **options):
        pass


class RequestsCookieJar(dict):
    pass


class CaseInsensitiveDict(dict):
    """A `dict` of headers: its keys have no case."""

    def __init__(self, data=(), **members):
        super().__init__()
        self.update(data, **members)

    def __setitem__(self, key, value):
        super().__setitem__(key.lower(), value)

    def __getitem__(self, key):
        return super().__getitem__(key.lower())

    def __contains__(self, key):
        return super().__contains__(key.lower())

    def get(self, key, default=None):
        return super().get(key.lower(), default)

    def update(self, data=(), **members):
        for key, value in dict(data, **members).items():
            self[key] = value


class HTTPBasicAuth:
    def __init__(self, username, password):
        self.username = username
        self.password = password


class Session:
    def __init__(self):
        self.headers = CaseInsensitiveDict()
        self.params = {}
        self.cookies = RequestsCookieJar()
        self.auth = None
        self.verify = True
        self.adapters = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        pass

    def mount(self, prefix, adapter):
        self.adapters[prefix] = adapter

    def request(self, method, url, *arguments, **options):
        return request(method, url)

    def get(self, url, **options):
        return self.request("GET", url)

    def options(self, url, **options):
        return self.request("OPTIONS", url)

    def head(self, url, **options):
        return self.request("HEAD", url)

    def post(self, url, data=None, json=None, **options):
        return self.request("POST", url)

    def put(self, url, data=None, **options):
        return self.request("PUT", url)

    def patch(self, url, data=None, **options):
        return self.request("PATCH", url)

    def delete(self, url, **options):
        return self.request("DELETE", url)


def session():
    return Session()


def create_modules() -> dict:
    """The modules by their names."""
    contents = {
        "requests": [*FUNCTIONS, session, Session, HTTPAdapter, *EXCEPTIONS],
        "requests.adapters": [HTTPAdapter],
        "requests.api": FUNCTIONS,
        "requests.auth": [HTTPBasicAuth],
        "requests.cookies": [RequestsCookieJar],
        "requests.exceptions": EXCEPTIONS,
        "requests.sessions": [session, Session],
        "requests.structures": [CaseInsensitiveDict],
    }
    modules = {name: types.ModuleType(name) for name in contents}
    for name, values in contents.items():
        for value in values:
            setattr(modules[name], value.__name__, value)
        package, _, child = name.rpartition(".")
        if package:
            setattr(modules[package], child, modules[name])
    return modules
