"""For type checkers: GuanceHandler's options. Made by ``docs/make_options.py``, not imported."""

from __future__ import annotations

from eventlog_handlers.settings.typed import CommonOptions


class GuanceHandlerOptions(CommonOptions, total=False):
    """``GuanceHandler``'s own options."""

    site: str
    """`cn1`, `cn2`, `cn3`, `cn4`, `cn5`, `cn6`, `us1`, `eu1`, `ap1`, `za1`, `id1`, `me1`, `truewatch-us1`,
    `truewatch-eu1`, `truewatch-ap1`, `truewatch-za1`, `truewatch-id1`. Default: "cn1".
    """
    endpoint: str | None
    """Another one, such as that of a private deployment; may have a path. Default: None."""
    api_key: str | None
    """Else `DF_API_KEY`, read at every call. Default: None."""
    origin: str
    """Template of the event's source. Default: "{logger}"."""
    title: str
    """Template of the title: one line of at most 256 characters. Default: "{message}"."""
    max_message_bytes: int
    """Bytes of the message; a longer one is cut with a mark. Default: 32_768."""
