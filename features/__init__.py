"""Numbers from ticks: one kernel for training and serving."""
