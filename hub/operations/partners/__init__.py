"""Orders on partners, on whose certificates are trusted, and trials of rules on what has come."""
