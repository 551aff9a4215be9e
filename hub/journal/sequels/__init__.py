"""What follows from what was recorded before: how long incidents were open, what a later figure corrects, when
dossiers wait, in which unit a dossier counts, which of its days were corrected, and what is still open.
"""
