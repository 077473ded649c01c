"""``python -m eventlog_handlers``: the same as the command ``eventlog-handlers``."""

from eventlog_handlers.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
