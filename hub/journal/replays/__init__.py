"""What is sent again: replays, their plans and rules, and corrected packets."""
