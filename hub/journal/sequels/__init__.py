"""Facts that follow from what was recorded before: how long incidents were open, what a later figure corrects, when
dossiers wait, in which unit a dossier counts, and which of its days were corrected.
"""
