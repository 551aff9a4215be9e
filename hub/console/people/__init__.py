"""The pages about accounts, and about the tokens of programs."""
