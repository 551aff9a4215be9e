"""What the journal keeps for good and what it lets go: rules, choosing, compact forms, and the deletion after the archive."""
