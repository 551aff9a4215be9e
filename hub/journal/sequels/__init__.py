"""Facts that follow from what was recorded before: how long incidents were open, what a later
figure corrects, and when dossiers wait.
"""
