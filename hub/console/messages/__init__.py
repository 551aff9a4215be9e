"""Pages of messages: the list, its searches and files, one message and what it contains."""
