"""Masks: cleaning, quality rules, metrics."""
