"""What the hub itself tells operators: conditions, and the ways of telling them."""
