"""Removing foregrounds."""
