"""How records and exceptions reach the handlers of this package, and what keeps them from it."""
