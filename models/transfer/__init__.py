"""Backbones under other tasks: is a detector, a segmenter, another classifier as robust as what it stands on?

`settings` (which backbone, in params.yaml), `maps` (where in a network its feature maps are), `backbones` (images to
feature maps, or to pooled features), `published` (checkpoints of robust ResNet-50s, in their publishers' forms),
`loading` (settings to a network without its head), `modes` (what of it is trained), `presets` (schedules).

Tasks: `tasks` (what a task is), `train` (the loop, which knows none), `detection` with `average_precision`,
`segmentation` with `segmentation_heads`, `crops` (an image and its classes in step) and `mean_iou`, `classification`
with `class_accuracy`; `batches` (floats, and PRIME or AugMix).
"""
