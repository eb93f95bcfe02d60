"""Adapters: small matrices that are trained in place of whole layers, and folded into them at the end."""
