"""A partner that answers as it is told, to try a hub and a partner's file before the real system is there."""
