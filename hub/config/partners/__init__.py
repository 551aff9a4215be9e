"""Partners as their files say: how a file is read, what it may set, and what an edit of it changes."""
