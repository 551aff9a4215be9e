"""Facts that follow from what was recorded before: how long incidents were open, and what a later figure corrects."""
