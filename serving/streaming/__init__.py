"""What happens, told to everyone who listens: quotes, decisions, orders, fills."""
