"""Who may use the hub, and what: accounts and their permissions, tokens of programs, sessions, and what proves who signs in."""
