"""Pages about a whole province: who is late, how units stand, what is due."""
