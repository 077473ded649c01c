"""How records and exceptions reach the handlers of this package, and who stands in their way."""
