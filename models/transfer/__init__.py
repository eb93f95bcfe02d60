"""Backbones under other tasks: is a detector, a segmenter, another classifier as robust as what it stands on?

`settings` (which backbone, in params.yaml), `maps` (where in a network its feature maps are), `backbones` (images to
feature maps, or to pooled features), `published` (checkpoints of robust ResNet-50s, in their publishers' forms),
`loading` (settings to a network without its head), `modes` (what of it is trained), `presets` (schedules).
"""

import models.lean_torchvision  # noqa: F401  # before anything here imports torchvision
