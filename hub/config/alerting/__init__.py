"""`[alerts]`: mail to units about their work, and how operators are told of conditions of the hub."""
