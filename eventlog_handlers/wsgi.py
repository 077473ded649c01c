"""For WSGI applications: an exception that reaches the server becomes an event with its request.

    application = wrap(application)

Records that the application logs in a request get the request's id, method and path as well. Flask:
``app.wsgi_app = wrap(app.wsgi_app)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from typing import Any

from eventlog_handlers.listening import fields, report, web

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

LOGGER = "eventlog_handlers.wsgi"


class Middleware:
    """*app* (PEP 3333), with each exception that leaves it reported once and then raised as before.

    An exception that the application has logged as an error is not sent again, and neither is one that the
    server logs afterwards.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = _Request(environ, start_response)
        try:
            body = self._app(environ, request.start_response)
        except Exception as error:
            request.failed(error)
            request.end()
            raise
        except BaseException:
            request.end()
            raise
        file_wrapper = environ.get("wsgi.file_wrapper")
        is_whole = isinstance(body, (list, tuple))
        if is_whole or (isinstance(file_wrapper, type) and isinstance(body, file_wrapper)):
            request.end()  # nothing of the application's runs any more, and servers send files their own way
            return body
        return _Body(body, request)


wrap = Middleware


class _Request:
    """One request from the call to the end of its body."""

    def __init__(self, environ: Environ, start_response: Callable[..., Any]) -> None:
        self._environ = environ
        self._start_response = start_response
        self._status: int | None = None
        path = _text(environ.get("SCRIPT_NAME", "")) + _text(environ.get("PATH_INFO", ""))
        self._fields = web.fields(environ.get("REQUEST_METHOD"), path, self._header)
        self._token: Token[Any] | None = fields.bind(self._fields)

    def start_response(self, status: str, *rest: Any) -> Any:
        """Note the status, and pass it on."""
        number = status[:3]
        self._status = int(number) if number.isascii() and number.isdigit() else None
        return self._start_response(status, *rest)

    def failed(self, error: Exception) -> None:
        """Report *error*, which the application raised."""
        method, path = self._fields.get("method", ""), self._fields.get("path", "")
        query = _text(self._environ.get("QUERY_STRING", ""))
        more = web.failed(self._route(), self._status or 500, query, self._header)
        report.report(
            error,
            "%s %s raised %s",
            (method, path, report.described(error)),
            logger=LOGGER,
            extra=more,
        )

    def end(self) -> None:
        """Take the request's fields off this thread."""
        token, self._token = self._token, None
        if token is not None:
            fields.unbind(token)

    def _header(self, name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value = self._environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}")
        return value if isinstance(value, str) else None

    def _route(self) -> str | None:
        """The rule that matched, as Werkzeug's request (Flask) tells it."""
        rule = getattr(getattr(self._environ.get("werkzeug.request"), "url_rule", None), "rule", None)
        return rule if isinstance(rule, str) else None


class _Body:
    """The rest of a request: what the application makes while the server sends it."""

    def __init__(self, body: Iterable[bytes], request: _Request) -> None:
        self._body = body
        self._parts: Iterator[bytes] | None = None
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            return next(self._parts)
        except StopIteration:
            raise
        except Exception as error:
            self._request.failed(error)
            raise

    def close(self) -> None:
        """Close the application's own, as servers must; the request is over."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except Exception as error:
            self._request.failed(error)
            raise
        finally:
            self._request.end()


def _text(value: Any) -> str:
    """Text of an environ, which holds bytes as Latin-1 (PEP 3333)."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace") if isinstance(value, str) else ""
