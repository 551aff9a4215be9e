"""Who may use the hub: orders on accounts and on the tokens of programs, for the pages, the API and commands; and their pages."""
