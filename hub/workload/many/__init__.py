"""The reports of many units at once: how they stand, what is planned for them, and the signed files of them."""
