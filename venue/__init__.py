"""A simulated venue in its own process."""
