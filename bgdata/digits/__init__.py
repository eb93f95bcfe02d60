"""Handwritten digits, and sets of them in which a pixel or the background gives the class away."""
