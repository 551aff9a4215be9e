"""Work on the journal as a whole: copying it, checking it for damage, moving it to another database."""
