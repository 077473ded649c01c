"""The relay: takes events out of queues in Redis or Valkey and sends each queue to its destination.

Any number of relays, on any machines, may serve a queue. Each is a handler's own pipeline whose buffer is the
queue: ``stream`` asks Redis, ``buffer`` is what the pipeline sees of it, ``coordinator`` is what relays agree
on, ``queue_handler`` puts them together for one queue, ``serve`` runs them, ``status`` looks at them.

The applications' side is ``eventlog_handlers.services.relay``.
"""
