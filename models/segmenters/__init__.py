"""Ways to find the foreground of a photo, behind one Protocol."""
