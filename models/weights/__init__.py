"""Weights in files, whoever wrote them: read without running code, and fitted to a network strictly."""
