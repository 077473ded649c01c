"""A LogRecord becomes an Event: captured in the caller's thread, rendered and redacted in the worker's."""
