"""The embedded demo data: drawn scenes of the nine classes with true masks, written as an ILSVRC tree."""
