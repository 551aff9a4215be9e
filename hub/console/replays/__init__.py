"""The pages of replay plans and of corrections."""
