"""A U-Net that learns the masks which another segmenter made: the cheap student of an expensive teacher."""
