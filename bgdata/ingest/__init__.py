"""From an ILSVRC tree or a flat folder to a set of photos: the paper's filters, the split, the balance."""
