"""What we know about ourselves."""
