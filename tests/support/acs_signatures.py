"""Whether a request carries Alibaba Cloud's right signature, by the console's reading of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventlog_handlers.console import acs
from eventlog_handlers.console.exchange import Request


def sign_v1(method: str, parameters: Iterable[tuple[str, str]], secret: str) -> str:
    """The value of ``Signature`` for decoded *parameters* in any order."""
    return acs.signature_v1(acs.text_v1(method, parameters), secret)


def verify_v1(method: str, parameters: Iterable[tuple[str, str]], secret: str) -> bool:
    """Whether *parameters*, query and form together and decoded, hold the one right ``Signature``."""
    parameters = list(parameters)
    given = [value for name, value in parameters if name == "Signature"]
    return len(given) == 1 and acs.same(given[0], sign_v1(method, parameters, secret))


def verify_v3(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
) -> bool:
    """Whether a request as it arrived carries the right signature over everything that has to be signed."""
    request = Request(method, path, "", tuple(headers.items()), body)
    given = acs.parsed(headers.get("authorization", ""))
    payload = acs.body_sha256(request)
    if given is None or headers.get(acs.CONTENT_HASH) != payload:
        return False
    if not acs.required_names(request) <= set(given.names) <= set(headers):
        return False
    text = acs.text_v3(acs.canonical_v3(request, query, given.names, payload))
    return acs.same(given.signature, acs.signature_v3(text, secret))
