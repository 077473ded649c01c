"""One folder per service: options, request form, answers, sink, handler. registry.py has one row for each."""
