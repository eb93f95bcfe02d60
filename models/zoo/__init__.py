"""Any classifier, made ready to be judged: by name, from a file of weights, as a program, or from a Python function."""
