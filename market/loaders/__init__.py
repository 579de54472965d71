"""File formats to columns of quotes."""
