"""Sets written as others read them: the official tree, COCO, SubpopBench, Hugging Face, masks without photos."""
