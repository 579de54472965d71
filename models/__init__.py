"""What can learn and predict."""
