"""The applications' side of the relay: a handler that puts events into a queue of Redis or Valkey.

What takes them out and sends them is the package ``eventlog_handlers.relay``.
"""
