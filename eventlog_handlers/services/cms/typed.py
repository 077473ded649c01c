"""For type checkers: CMSHandler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from typing import Literal

from eventlog_handlers.settings.typed import CommonOptions


class CMSHandlerOptions(CommonOptions, total=False):
    """``CMSHandler``'s own options."""

    region: str
    """Makes the endpoint `https://metrics.<region>.aliyuncs.com`. Default: "cn-hangzhou"."""
    network: Literal["public", "vpc"]
    """`"vpc"`: the region's address inside a VPC, `https://metrics-vpc.<region>.aliyuncs.com`. Default:
    "public".
    """
    endpoint: str | None
    """Another endpoint: scheme, host and port. Default: None."""
    access_key_id: str | None
    """Else `ALIBABA_CLOUD_ACCESS_KEY_ID`, read at every call. Default: None."""
    access_key_secret: str | None
    """Else `ALIBABA_CLOUD_ACCESS_KEY_SECRET`. Default: None."""
    security_token: str | None
    """Of a temporary key; else `ALIBABA_CLOUD_SECURITY_TOKEN`. Default: None."""
    credentials: object
    """Instead of keys: a callable, an object with `get_credential()`, or its dotted name; asked at every
    call. Default: None.
    """
    group_id: str | int | None
    """Digits of an application group; `None`: no group. Default: None."""
    event_name: str
    """Template of the EventName; after 200 distinct names in a process the logger's name is taken. Default:
    "{logger}".
    """
    signature: Literal["v1", "v3"]
    """`"v1"` (RPC, HMAC-SHA1) or `"v3"` (ACS3-HMAC-SHA256). Default: "v1"."""
    content_format: Literal["text", "json"]
    """Content as `"text"` for people or as one object of `"json"`. Default: "text"."""
    max_content_bytes: int
    """Percent-encoded bytes of Content; a longer one is cut with a mark. Default: 32_768."""
