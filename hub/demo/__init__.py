"""Sample partner systems as processes of their own, and what drives and recounts them.  Imports nothing else of hub."""
