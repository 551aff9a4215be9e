"""How much a hub can carry: measured costs, a simulation of a node with them, and what provinces and the nation need of it."""
