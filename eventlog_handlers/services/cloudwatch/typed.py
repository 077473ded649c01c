"""For type checkers: CloudWatchEventsHandler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog_handlers.settings.typed import CommonOptions


class CloudWatchEventsHandlerOptions(CommonOptions, total=False):
    """``CloudWatchEventsHandler``'s own options."""

    region_name: str | None
    """Else as boto3 finds it. Default: None."""
    event_bus_name: str | None
    """Name or ARN of a classic event bus; `None`: the default bus. Default: None."""
    endpoint_url: str | None
    """Another endpoint. Default: None."""
    source: str
    """Template of Source; `app.` is put before one that starts with `aws.`, which AWS reserves. Default:
    "{logger}".
    """
    detail_type: str | None
    """Template of DetailType; `None`: `Log Exception` with an exception, else `Log Record`. Default: None."""
    resources: Sequence[str]
    """ARNs put into every event. Default: ()."""
    session: object
    """Boto3 session, or its dotted name; credentials come from boto3's own chain in any case. Default: None.
    """
    client: object
    """Boto3 client for `events`, used as it is, its timeouts and retries too. Default: None."""
    max_request_bytes: int
    """Bytes of a request and of an entry by AWS's formula; up to 1_047_552. Default: 261_120."""
