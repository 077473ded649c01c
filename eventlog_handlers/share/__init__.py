"""Processes of one account share a rate limit, budgets, and one table of problems.

``contract`` lists the questions. ``pace``, ``allowance`` and ``problems`` are the rules, pure.
``coordinator`` carries them out over a store: ``memory`` (one process) or ``host`` (a mapped file, laid out
by ``layout``). ``fleet`` asks Redis, whose scripts repeat the rules. ``fallback`` goes on without the file or
the server. ``scopes`` opens what the option ``scope`` names.

Only a worker's thread uses this package. A log call never does.
"""
