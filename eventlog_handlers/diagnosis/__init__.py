"""Whether everything is in place, before an event is lost for it: destinations, spool, logging's tree."""
