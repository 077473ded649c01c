"""Finds what would lose events before it does: checks destinations, the spool and logging's tree."""
