"""The life cycle of a unit's report: counting, closing, revising, signing, submitting and publishing it."""
