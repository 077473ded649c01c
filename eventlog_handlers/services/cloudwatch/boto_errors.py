"""Translates botocore's exceptions into those of ``errors``.

They are told apart by the names of their classes, so that reading the tables loads none of its modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventlog_handlers.errors import (
    MisconfiguredError,
    RefusedError,
    SinkError,
    TooLargeError,
    TransientError,
)
from eventlog_handlers.services.cloudwatch.answers import response_headers, unreadable, verdict

NO_CREDENTIALS = "no AWS credentials: give the process a role, a profile or AWS_ACCESS_KEY_ID and its secret"

_Maker = Callable[[Exception], SinkError]


def translated(error: Exception, table: Mapping[str, _Maker], unknown: type[SinkError]) -> SinkError:
    """By the row of *table* for *error*'s class or its nearest base; else *unknown* with the class's name."""
    for cls in type(error).__mro__:
        if cls.__name__ in table:
            return table[cls.__name__](error)
    return unknown(type(error).__name__, "unexpected error of the AWS client")


def _client_error(error: Any) -> SinkError:
    """botocore's ClientError: the service's code, the status and the headers decide."""
    response = error.response
    cause = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, message = str(cause.get("Code", "")), str(cause.get("Message", ""))
    meaning = verdict(code, status, message, response_headers(response)).error()
    operation = getattr(error, "operation_name", "PutEvents")
    if operation != "PutEvents" and isinstance(meaning, RefusedError | TooLargeError):
        # botocore asked for credentials (AssumeRole, ...) and that was refused: the events are blameless
        return MisconfiguredError(meaning.code, f"{operation} was refused: check the role and the profile")
    return meaning


def _transient(code: str, detail: str, *, ambiguous: bool = False) -> _Maker:
    return lambda error: TransientError(code, detail, ambiguous=ambiguous)


def _misconfigured(remedy: str) -> _Maker:
    return lambda error: MisconfiguredError(type(error).__name__, remedy)


def _refused(error: Exception) -> SinkError:
    """An entry that makes no request is at fault; once there is a request, its entries no longer are."""
    passed: set[str] = set()
    step = error.__traceback__
    while step is not None:
        module = step.tb_frame.f_globals.get("__name__", "")
        passed |= {module, f"{module}.{step.tb_frame.f_code.co_name}"}
        step = step.tb_next
    if passed & {"botocore.parsers", "botocore.endpoint._do_get_response"}:
        return unreadable("the answer has another shape than the service's")
    if "botocore.endpoint" in passed:
        return TransientError(type(error).__name__, "the AWS client could not sign or send")
    # Only the class is told: the text quotes the entry.
    return RefusedError(type(error).__name__, "boto3 could not make a request of it")


def _tls(error: Exception) -> SinkError:
    text = str(error)
    if any(words in text for words in ("CERTIFICATE_VERIFY_FAILED", "doesn't match", "No such file")):
        return MisconfiguredError("tls", "the certificate is not trusted: check ca_bundle and AWS_CA_BUNDLE")
    return TransientError("tls", "the TLS handshake failed")


def _proxy(error: Exception) -> SinkError:
    if " 407 " in str(error):
        return MisconfiguredError("proxy", "the proxy wants a user and a password: check proxies")
    return TransientError("proxy", "the proxy could not be reached or refused the connection")


_CREDENTIALS = "the credentials could not be read or renewed: check the profile, role or login they come from"

FETCHING: Mapping[str, _Maker] = {
    # Exceptions of any call, and of fetching credentials.
    "ClientError": _client_error,
    "SSLError": _tls,
    "ProxyConnectionError": _proxy,
    "ConnectTimeoutError": _transient("connect", "no connection in time"),
    "ReadTimeoutError": _transient("timeout", "no answer in time", ambiguous=True),
    "ConnectionClosedError": _transient("reset", "the connection broke before the answer", ambiguous=True),
    "HTTPClientError": _transient("broken", "the exchange broke", ambiguous=True),
    "ConnectionError": _transient("connect", "no connection could be made"),  # botocore's and Python's
    "OSError": _transient("os", "the operating system refused"),
    "MemoryError": _transient("memory", "out of memory"),
    "NoCredentialsError": _misconfigured(NO_CREDENTIALS),
    "NoAuthTokenError": _misconfigured(NO_CREDENTIALS),
    **dict.fromkeys(
        (
            "CredentialRetrievalError",
            "PartialCredentialsError",
            "TokenRetrievalError",
            "UnknownCredentialError",
            "MetadataRetrievalError",
            "InfiniteLoopConfigError",
            "RefreshWithMFAUnsupportedError",
            "SSOError",
            "LoginError",
        ),
        _misconfigured(_CREDENTIALS),
    ),
    "MissingDependencyException": _misconfigured("a package is missing: pip install 'botocore[crt]'"),
    "EndpointProviderError": _misconfigured("no endpoint for this: check region_name and endpoint_url"),
    "BaseEndpointResolverError": _misconfigured("no endpoint for this: check region_name and endpoint_url"),
    "InvalidProxiesConfigError": _misconfigured("check proxies"),
}

BUILDING: Mapping[str, _Maker] = {
    **FETCHING,
    "NoRegionError": _misconfigured("no AWS region: give region_name, or set AWS_DEFAULT_REGION"),
    "InvalidRegionError": _misconfigured("region_name is not the name of a region"),
    "ProfileNotFound": _misconfigured("the profile does not exist: check AWS_PROFILE"),
    "ConfigParseError": _misconfigured("the AWS configuration file cannot be parsed"),
    "ImportError": _misconfigured("boto3 is missing: pip install 'eventlog-handlers[aws]'"),
    "BotoCoreError": _misconfigured("boto3 refuses to make a client: check region_name, endpoint_url, AWS_*"),
    "ValueError": _misconfigured("boto3 refuses to make a client: check region_name and endpoint_url"),
    # the interpreter is shutting down, or a thread or a descriptor could not be had
    "RuntimeError": _transient("runtime", "a client could not be made now"),
}

CALLING: Mapping[str, _Maker] = {
    **FETCHING,
    **dict.fromkeys(("ParamValidationError", "ValidationError"), _refused),
    **dict.fromkeys(("AttributeError", "LookupError", "TypeError", "ValueError"), _refused),
}
