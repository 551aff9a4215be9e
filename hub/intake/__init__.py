"""Judges a call or message: verified, validated, authorised, routed, receipted."""
