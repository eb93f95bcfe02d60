"""Sets with true masks, in their official layouts, one sample (an image and a category) at a time."""
