"""Other model servers beside ours: same model, same client, rounds that take turns."""
