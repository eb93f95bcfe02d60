"""The report: reads the result files, shows them, and computes nothing but differences."""
