"""Sends messages again, corrected or as they were: what a person orders."""
