"""Use cases: the only code that writes tables. Keyword-only, one transaction each."""
