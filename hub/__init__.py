"""The hub of Liên Thông: words, rules, memory, deeds and edges, one noun a file."""
