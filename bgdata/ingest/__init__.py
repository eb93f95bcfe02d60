"""From an ILSVRC tree to a set of photos: the paper's filters, the split, the balance."""
