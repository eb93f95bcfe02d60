"""Biased digits: a small network with and without a penalty on where it looks."""
