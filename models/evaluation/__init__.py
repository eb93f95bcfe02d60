"""Judges: classifiers on the variants and in the Backgrounds Challenge, masks against truth."""
