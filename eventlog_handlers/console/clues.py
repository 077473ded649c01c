"""Finds the mistake behind a wrong signature: makes each known mistake and compares the signatures.

A client does not send the string that it signed. But a mistake that leads to exactly the received signature
is the client's mistake. Pure; the secret is known here, and never part of a text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from eventlog_handlers.console import acs, sigv4
from eventlog_handlers.console.exchange import Request, Signing

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_AGREE = (
    "The strings agree: the secret is another one than this key's, or the request was changed on its way "
    "in a part that both sides read alike."
)
_DIFFER = "The client's string differs from the service's where it is marked."


class _Guess(NamedTuple):
    """A mistake, and the signature it leads to."""

    mistake: str
    text: str
    signature: str


def signing_v1(
    request: Request,
    query: Sequence[tuple[str, str]],
    form: Sequence[tuple[str, str]],
    secret: str,
    given: str,
) -> Signing:
    """The two strings of RPC v1, with the mistake if one is found; *given* is the received signature."""
    right = acs.text_v1(request.method, (*query, *form))
    guesses = _guesses_v1(request.method, query, form, secret)
    return _explained(right, right, given, guesses)


def signing_v3(request: Request, query: Sequence[tuple[str, str]], claim: acs.Claim, secret: str) -> Signing:
    """The two canonical requests of V3 with their strings to sign."""
    required, present = acs.required_names(request), {name for name, _ in request.headers}
    payload, declared = acs.body_sha256(request), request.header(acs.CONTENT_HASH) or ""
    expected = acs.canonical_v3(request, query, required | set(claim.names) & present, payload)
    received = acs.canonical_v3(request, query, claim.names, declared)
    return _explained(
        _with_text_v3(expected),
        _with_text_v3(received),
        claim.signature,
        _guesses_v3(request, query, claim, secret),
    )


def signing_v4(request: Request, claim: sigv4.Claim, secret: str, stamp: str) -> Signing:
    """The two canonical requests of SigV4 with their strings to sign."""
    required, present = sigv4.required_names(request), {name for name, _ in request.headers}
    names = [name for name in claim.names if name in present]
    payload = sigv4.body_sha256(request)
    declared = request.header(sigv4.CONTENT_HASH) or payload
    expected = sigv4.signed(request, claim, {*names, *required}, stamp, payload)
    received = sigv4.signed(request, claim, names, stamp, declared)
    return _explained(
        "\n\n".join(expected),
        "\n\n".join(received),
        claim.signature,
        _guesses_v4(request, claim, names, secret, stamp),
    )


def _explained(expected: str, received: str, given: str, guesses: Iterator[_Guess]) -> Signing:
    for guess in guesses:
        if hmac.compare_digest(guess.signature.encode(), given.encode("utf-8", "replace")):
            return Signing(expected, guess.text, f"Found: {guess.mistake}.")
    return Signing(expected, received, _AGREE if expected == received else _DIFFER)


def _odd_secrets(secret: str) -> Iterator[tuple[str, str]]:
    yield "the secret is followed by a line break", f"{secret}\n"
    yield "the secret is followed by a blank", f"{secret} "
    yield "the secret has a blank before it", f" {secret}"
    yield "the secret stands in quotes", f'"{secret}"'
    yield "the secret is empty", ""


# --- RPC v1 ----------------------------------------------------------------------------------------------


def _guesses_v1(
    method: str, query: Sequence[tuple[str, str]], form: Sequence[tuple[str, str]], secret: str
) -> Iterator[_Guess]:
    pairs = [(name, value) for name, value in (*query, *form) if name != "Signature"]
    right = acs.text_v1(method, pairs)
    for mistake, odd in _odd_secrets(secret):
        yield _Guess(mistake, right, acs.signature_v1(right, odd))
    bare = base64.b64encode(hmac.digest(secret.encode(), right.encode(), "sha1")).decode()
    yield _Guess('the key is the secret alone: "&" has to follow it', right, bare)
    sha256 = base64.b64encode(hmac.digest(f"{secret}&".encode(), right.encode(), "sha256")).decode()
    yield _Guess("it was made with SHA-256: SignatureMethod says HMAC-SHA1", right, sha256)
    for mistake, text in _texts_v1(method, pairs, query):
        yield _Guess(mistake, text, acs.signature_v1(text, secret))


def _texts_v1(
    method: str, pairs: Sequence[tuple[str, str]], query: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    right, ordered = acs.text_v1(method, pairs), sorted(pairs)
    other = "GET" if method == "POST" else "POST"
    yield f"{other} was signed and {method} was sent", acs.text_v1(other, pairs)
    yield "only the query was signed: the form's parameters belong to it", acs.text_v1(method, query)
    filled = [(name, value) for name, value in pairs if value]
    yield "empty values were left out", acs.text_v1(method, filled)
    yield "the parameters are not sorted by name", _of_pairs(method, pairs)
    by_letter = sorted(pairs, key=lambda pair: pair[0].lower())
    yield "the parameters are sorted without regard to upper and lower case", _of_pairs(method, by_letter)
    plus = "&".join(f"{quote_plus(name, '-_.~')}={quote_plus(value, '-_.~')}" for name, value in ordered)
    yield 'blanks became "+" instead of "%20"', f"{method}&%2F&{acs.encoded(plus)}"
    star = "&".join(f"{quote(name, safe='*')}={quote(value, safe='*')}" for name, value in ordered)
    yield '"*" was left as it is instead of "%2A"', f"{method}&%2F&{acs.encoded(star)}"
    slash = "&".join(f"{quote(name)}={quote(value)}" for name, value in ordered)
    yield '"/" was left as it is instead of "%2F"', f"{method}&%2F&{acs.encoded(slash)}"
    tilde = "&".join(f"{_tilde(name)}={_tilde(value)}" for name, value in ordered)
    yield '"~" became "%7E"', f"{method}&%2F&{acs.encoded(tilde)}"
    once = "&".join(f"{acs.encoded(name)}={acs.encoded(value)}" for name, value in ordered)
    yield "the sorted parameters are not encoded a second time", f"{method}&%2F&{once}"
    yield "the percent codes have small letters", _small_hex(right)
    yield 'the path is not encoded: "/" instead of "%2F"', right.replace("&%2F&", "&/&", 1)


def _of_pairs(method: str, pairs: Sequence[tuple[str, str]]) -> str:
    canonical = "&".join(f"{acs.encoded(name)}={acs.encoded(value)}" for name, value in pairs)
    return f"{method}&%2F&{acs.encoded(canonical)}"


def _tilde(text: str) -> str:
    return acs.encoded(text).replace("~", "%7E")


def _small_hex(text: str) -> str:
    head, *parts = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in parts)])


# --- V3 and SigV4 ----------------------------------------------------------------------------------------


def _guesses_v3(
    request: Request, query: Sequence[tuple[str, str]], claim: acs.Claim, secret: str
) -> Iterator[_Guess]:
    payload = acs.body_sha256(request)
    right = acs.canonical_v3(request, query, claim.names, payload)

    def guess(mistake: str, canonical: str, used: str = secret) -> _Guess:
        return _Guess(mistake, _with_text_v3(canonical), acs.signature_v3(acs.text_v3(canonical), used))

    for mistake, odd in _odd_secrets(secret):
        yield guess(mistake, right, odd)
    yield guess('the key is the secret and "&": V3 takes the secret alone', right, f"{secret}&")
    for mistake, changed, hashed in _requests(request, payload):
        yield guess(mistake, acs.canonical_v3(changed, query, claim.names, hashed))
    as_sent = request.query.split("&")
    yield guess("the query is not sorted", right.replace("&".join(sorted(as_sent)), "&".join(as_sent)))
    yield guess("the query is left out", acs.canonical_v3(request, (), claim.names, payload))


def _guesses_v4(
    request: Request, claim: sigv4.Claim, names: Sequence[str], secret: str, stamp: str
) -> Iterator[_Guess]:
    payload = sigv4.body_sha256(request)

    def guess(mistake: str, signed: sigv4.Signed, used: str = secret) -> _Guess:
        return _Guess(mistake, "\n\n".join(signed), sigv4.signature(signed.text, claim, used, stamp))

    right = sigv4.signed(request, claim, names, stamp, payload)
    for mistake, odd in _odd_secrets(secret):
        yield guess(mistake, right, odd)
    for mistake, changed, hashed in _requests(request, payload):
        yield guess(mistake, sigv4.signed(changed, claim, names, stamp, hashed))
    unsigned = sigv4.signed(request, claim, names, stamp, "UNSIGNED-PAYLOAD")
    yield guess("the body is not signed (UNSIGNED-PAYLOAD)", unsigned)


def _requests(request: Request, payload: str) -> Iterator[tuple[str, Request, str]]:
    """The request as a client may have seen it when it signed, with the hash it took of the body."""
    yield "an empty body was signed", request, _EMPTY_SHA256
    for ending in (b"\n", b"\r\n"):
        body = request.body.removesuffix(ending)
        if body != request.body:
            yield "a line break was added to the body", request, hashlib.sha256(body).hexdigest()
    host = request.header("host") or ""
    name, _, port = host.rpartition(":")
    if port.isdigit() and name:
        yield "the host was signed without its port", _with_host(request, name), payload
    for other in ("localhost", "127.0.0.1"):
        whole = f"{other}:{port}" if name else other
        if whole != host:
            yield f"another host was signed: {whole}", _with_host(request, whole), payload
    other_method = "GET" if request.method == "POST" else "POST"
    mistake = f"{other_method} was signed and {request.method} was sent"
    yield mistake, request._replace(method=other_method), payload


def _with_host(request: Request, host: str) -> Request:
    return request._replace(
        headers=tuple((name, host if name == "host" else value) for name, value in request.headers)
    )


def _with_text_v3(canonical: str) -> str:
    return f"{canonical}\n\n{acs.text_v3(canonical)}"
