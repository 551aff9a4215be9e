"""The dialects of partner systems, one folder each; pure, and strangers to one another."""
