"""The three services' forms of an event: pure functions, no I/O, no clock, no randomness."""
