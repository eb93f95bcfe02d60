"""Compositing: the one formula, the variants of ImageNet-9, and mixed images."""
