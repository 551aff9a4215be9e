"""The commands about who may use the console and the API: users and tokens."""
