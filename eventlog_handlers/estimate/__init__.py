"""What a log would have cost as events: ``eventlog-handlers estimate``.

``records`` reads a log, ``problems`` tells its records apart by what is printed, ``windows`` folds repeats by
the log's own times, ``services`` counts calls and bytes, ``report`` puts it together. Nothing is sent.
"""
