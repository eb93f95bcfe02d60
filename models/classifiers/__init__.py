"""Classifiers, ours and anybody's, in this order.

`libraries` (names of torchvision and timm), `heads`, `classifier` (a network with its input's conventions inside, which
recipes train), `checkpoints` (what the train stage writes); then any model, made ready to be judged: `published` (by
name), `programs` (networks that come with their code), `loading` (which of these the command line means), `judged`,
`folding` (batch norms into convolutions), `backbones` (a model without its head).
"""

import models.lean_torchvision  # noqa: F401  # before anything here imports torchvision
