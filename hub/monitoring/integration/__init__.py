"""What the developers of a partner must know, the ZIP file for them, and which first messages have come."""
