"""The commands of ``eventlog-handlers``: one module each, with its arguments, its words and its exit code.

Exit codes everywhere: 0 done, 1 it did not work, 2 wrong arguments.
"""
