"""FIX 4.4, both sides of the wire."""
