"""Training: the loop, and the parts that recipes are put together from."""
