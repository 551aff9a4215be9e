"""Sample partner systems in processes of their own, and the code that drives and recounts them.

Imports nothing else of hub.
"""
