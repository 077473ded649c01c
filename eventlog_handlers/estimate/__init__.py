"""Estimates the cost of a log as events: ``eventlog-handlers estimate``.

``records`` reads a log, ``problems`` finds out which records are one problem, ``windows`` folds repeats by
the log's own times, ``services`` counts calls and bytes, ``report`` writes the result. Nothing is sent.
"""
