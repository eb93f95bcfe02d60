"""Tidies a segmenter's mask: drops crumbs, fills pinholes."""

import cv2
import numpy as np
from jaxtyping import Bool

from bgdata.masks.settings import CleanSettings


def clean_mask(mask: Bool[np.ndarray, "h w"], settings: CleanSettings) -> Bool[np.ndarray, "h w"]:
    """Drop the small pieces (8-connected), then fill the small holes (4-connected, not touching the edge).

    Shares are of the mask's own area. The largest piece always stays: a mask that was not empty is not emptied.
    """
    return _filled(_without_pieces(mask, settings), settings.max_hole)


def _without_pieces(mask: Bool[np.ndarray, "h w"], settings: CleanSettings) -> Bool[np.ndarray, "h w"]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count <= 2:
        return mask.copy()
    keep = np.zeros(count, bool)
    keep[1:] = False if settings.largest_only else areas >= settings.min_piece * areas.sum()
    keep[1 + areas.argmax()] = True
    return keep[labels]


def _filled(mask: Bool[np.ndarray, "h w"], max_hole: float) -> Bool[np.ndarray, "h w"]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).view(np.uint8), connectivity=4)
    fill = np.zeros(count, bool)
    fill[1:] = stats[1:, cv2.CC_STAT_AREA] < max_hole * mask.sum()
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    fill[edge] = False
    return mask | fill[labels]
