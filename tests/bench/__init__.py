"""Speed, as a ratio within one run; no test asserts it."""
