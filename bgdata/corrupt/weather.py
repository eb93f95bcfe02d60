"""Snow, frost, fog, brightness and spatter.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as imagecorruptions 1.1.5 (Michaelis et al. 2019) applies them to
any size. Each is equal to that package's, to the grey level, when it is given the package's random numbers, but for
frost's pictures. Rows of the tables are severities 1 to 5. Results are cut to uint8, not rounded, as there.

The published files of ImageNet-C were made at 224 x 224 by code of the same tables (make_imagenet_c.py of
hendrycks/robustness) and saved as JPEG of quality 85. Where that code differs beyond its size, the docstring says so.
"""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.ndimage import gaussian_filter

from bgdata.corrupt.frost_pictures import PICTURES, fitted_picture
from bgdata.corrupt.hsv import change_hsv
from bgdata.corrupt.plasma import draw_plasma
from bgdata.corrupt.smear import enlarge_middle, smear

# Mean and spread of the noise, how much it is enlarged, what is below is no flake, the smear's length and spread,
# the share of the photo that is not whitened.
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
)
# Weights of the photo and of the frost.
FROST = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
# Thickness, and by how much the plasma's roughness shrinks a step.
FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
# Added to the value of HSV.
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
# Mean and spread of the noise, its blur, what is below is dry, then strength (water) or blur (mud), and whether it is
# mud.
SPATTER = (
    (0.65, 0.3, 4, 0.69, 0.6, False),
    (0.65, 0.3, 3, 0.68, 0.6, False),
    (0.65, 0.3, 2, 0.68, 0.5, False),
    (0.65, 0.3, 1, 0.65, 1.5, True),
    (0.67, 0.4, 1, 0.65, 1.5, True),
)
# RGB.
WATER = (175, 238, 238)
MUD = (63, 42, 20)

Image = UInt8[np.ndarray, "h w 3"]


def snow(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Flakes smeared by the wind over a whitened photo; draws the flakes, then the wind's angle. Table: SNOW.

    Quirks kept: every flake appears twice, the second time turned by half a circle; the layer of flakes has 256 levels;
    the photo is float32 until they are added. The published files have ImageMagick's smear, and their flakes are cut
    to 256 levels before it.
    """
    loc, scale, factor, threshold, radius, sigma, kept = SNOW[severity - 1]
    height, width = image.shape[:2]
    flakes = enlarge_middle(rng.normal(loc, scale, (height, width)), factor)
    flakes[flakes < threshold] = 0
    flakes = smear(np.clip(flakes, 0, 1), radius=radius, sigma=sigma, angle=rng.uniform(-135, -45))
    fallen = np.round(flakes[:height, :width] * 255).astype(np.uint8) / 255.0
    photo = image.astype(np.float32) / 255
    white = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) * 1.5 + 0.5
    channels = []
    for channel in cv2.split(photo):
        snowy = kept * channel + (1 - kept) * np.maximum(channel, white) + fallen
        snowy += fallen[::-1, ::-1]
        channels.append(_cut(snowy))
    return cv2.merge(channels)


def frost(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """A crop of a picture of frost added to a darkened photo; draws which picture, then the crop. Table: FROST.

    Differs from all others: they paste photographs of frost of unknown licence (the published code the first five of
    six, imagecorruptions all six, of which two are one); ours are five that are drawn (`frost_pictures`), of about
    their brightness, contrast, colours and fineness. Weights and order of draws are the published ones. Quirk kept
    from imagecorruptions: a picture is enlarged by a tenth even where it is large enough; the published code does not.
    """
    photo_share, frost_share = FROST[severity - 1]
    height, width = image.shape[:2]
    picture = fitted_picture(int(rng.integers(len(PICTURES))), height, width)
    top, left = (int(rng.integers(0, space)) for space in (picture.shape[0] - height, picture.shape[1] - width))
    levels = np.arange(256)
    # Of a level of the photo and one of the frost: 65,536 sums instead of one a value.
    blend = np.clip(photo_share * levels[:, None] + frost_share * levels, 0, 255).astype(np.uint8).ravel()
    pairs = image.astype(np.uint16) << 8 | picture[top : top + height, left : left + width]
    return blend.take(pairs)


def fog(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Plasma clouds added to the photo, which is then darkened to its former range. Table: FOG.

    Quirks kept: the clouds' map has a side of the next power of two of the photo's larger side, of which the photo
    shows the top left corner, so that clouds look twice as large on a photo of 257 pixels as on one of 256; the range
    is that of the photo's brightest value, so a black photo stays black.
    """
    thickness, decay = FOG[severity - 1]
    height, width = image.shape[:2]
    plasma = draw_plasma(1 << (max(height, width) - 1).bit_length(), decay=decay, rng=rng)[:height, :width]
    clouds = thickness * plasma
    brightest = image.max() / 255.0
    shares = [(channel / 255.0 + clouds) * brightest / (brightest + thickness) for channel in cv2.split(image)]
    return cv2.merge([_cut(share) for share in shares])


def brightness(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """The value of HSV raised, up to 1, by scikit-image's conversions. Draws nothing. Table: BRIGHTNESS.

    Quirk kept: hue and saturation stay, so channels grow in proportion, and colours keep their darkest channel at 0.
    """
    raised = BRIGHTNESS[severity - 1]
    return change_hsv(image, lambda value, saturation: (np.clip(value + raised, 0, 1), saturation))


def spatter(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Drops of water (severities 1 to 3) or splashes of mud (4 and 5) on the lens. Table: SPATTER.

    Quirks kept: photo and water are float32; the brightest drop has the full strength, however little water there is;
    light falls from one side, the same in each photo. Differs where no drop falls at all, as can happen to small
    photos: the reference divides by zero and returns black, ours leaves the photo dry.
    """
    loc, scale, blur, threshold, strength, is_mud = SPATTER[severity - 1]
    liquid = gaussian_filter(rng.normal(loc, scale, image.shape[:2]), blur, mode="nearest")
    photo = cv2.split(image.astype(np.float32) / 255)
    if is_mud:
        mud = gaussian_filter((liquid > threshold).astype(np.float32), strength, mode="nearest")
        mud[mud < 0.8] = 0
        return cv2.merge([_cut(photo[i] * (1 - mud) + np.float64(MUD[i] / 255) * mud) for i in range(3)])
    liquid[liquid < threshold] = 0
    water = strength * _lit_drops((liquid * 255).astype(np.uint8))
    return cv2.merge([_cut(photo[i] + water * (WATER[i] / 255)) for i in range(3)])


def _lit_drops(liquid: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """How bright water of this depth is, in [0, 1]: it glitters along its edges, on the lower right side of a drop."""
    edges = 255 - cv2.Canny(liquid, 50, 150)
    away = np.minimum(cv2.distanceTransform(edges, cv2.DIST_L2, 5), 20)
    away = cv2.equalizeHist(cv2.blur(away, (3, 3)).astype(np.uint8))
    relief = cv2.filter2D(away, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    drops = liquid * cv2.blur(relief, (3, 3)).astype(np.float32)
    return drops / max(drops.max(), 1)


def _cut(share: Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Shares of full light, in [0, 1] or beyond it, as grey levels: cut, not rounded."""
    levels = np.clip(share, 0, 1)
    levels *= 255
    return levels.astype(np.uint8)
