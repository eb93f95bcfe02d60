"""Sets of the transfer tasks: detection, segmentation and classification, whole images with what is true of them."""
