"""A conditional flow over embeddings: how an embedding may move when only the background changes."""
