"""The forms of reports and their periods, read from TOML."""
