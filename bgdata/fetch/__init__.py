"""Remote files: which there are (`sources`), how they arrive whole (`download`), how archives are read (`archives`)."""
