"""What units still have to do: the list kept beside the facts, and what readers find in it."""
