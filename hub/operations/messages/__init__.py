"""Which messages a person may see, the searches that a person keeps, and what is found as a file."""
