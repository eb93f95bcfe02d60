"""Networks that fill holes in images."""
