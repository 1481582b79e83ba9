"""Training: schedules of the learning rate, collators, and what stands on them."""
