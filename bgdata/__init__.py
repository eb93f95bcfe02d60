"""Images, masks, labels and sets: everything that knows no network."""
