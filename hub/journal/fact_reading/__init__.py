"""How recorded facts are read: by key, in the order of time, or by unit with all that a period needs."""
