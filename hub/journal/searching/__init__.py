"""Messages found and read: by their fields, by words, by events; the indexes behind it, and calls that were refused."""
