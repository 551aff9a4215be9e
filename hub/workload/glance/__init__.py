"""The page at a glance of a closed month: counted, kept, refreshed, shown; not how it is drawn."""
