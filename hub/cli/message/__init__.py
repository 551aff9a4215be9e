"""What the command line says of one message: its life, its stored signatures."""
