"""Networks, their training and their judges. Knows no stage."""
