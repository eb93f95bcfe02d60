"""Sceneries of the wild: desert, snow or savanna, and jungle. Each returns a new frame `h w 3`."""

import numpy as np

from bgdata.synthetic import brushes
from bgdata.synthetic.brushes import Frame
from bgdata.synthetic.closeups import light_shafts
from bgdata.synthetic.landscapes import open_sky
from bgdata.synthetic.shapes import Colour, blob, curve, ellipse, limb, points
from bgdata.synthetic.textures import mixed, toned, varied


def draw_desert(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw sand dunes with ripples and rocks, at times with cacti."""
    frame = open_sky(rng, size)
    wide, high = brushes.extent(frame)
    sands: tuple[Colour, ...] = ((214, 176, 116), (196, 122, 74), (230, 212, 176), (168, 140, 110), (150, 92, 70))
    sand = varied(sands[int(rng.integers(len(sands)))], rng, amount=1.0)
    horizon = rng.uniform(0.2, 0.5)
    for i, level in enumerate(np.linspace(horizon, 0.9, int(rng.integers(3, 5)))):
        brushes.polygon(
            frame,
            brushes.ridge(rng, frame, level, rng.uniform(0.05, 0.12)),
            toned(sand, (0.84, 1.0)[i % 2] * rng.uniform(0.92, 1.08)),
        )
    if rng.random() < 0.4:
        for x in rng.uniform(0, wide, int(rng.integers(1, 4))):
            _cactus(rng, frame, x, rng.uniform(horizon + 0.05, horizon + 0.3))
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=10, stretch=2.5), amount=0.13, top=horizon + 0.05)
    slope = rng.uniform(-0.15, 0.15)
    x = np.linspace(0, wide, 30)
    ripples = [
        np.stack([x, y + slope * x + 0.012 * np.sin(x * 14 + y * 31)], axis=1)
        for y in np.arange(horizon + 0.25, high + 0.2, 0.035)
    ]
    brushes.lines(frame, ripples, toned(sand, 0.82), 0.004)
    stone = varied(mixed(sand, (116, 104, 96), 0.6), rng, amount=1.0)
    for x0, y0 in rng.uniform((0, horizon + 0.1), (wide, high), (int(rng.integers(4, 12)), 2)):
        _rock(rng, frame, x0, y0, 0.02 + 0.09 * rng.random() * (y0 - horizon + 0.2), stone)
    return frame


def _rock(rng: np.random.Generator, frame: Frame, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw an angular rock with a lit top and a shadow."""
    turns = np.sort(rng.uniform(0, 6.28, 9))
    outline = np.stack([np.cos(turns) * 1.3, np.sin(turns) * 0.8], axis=1) * radius * rng.uniform(0.8, 1.1, (9, 1))
    brushes.polygon(frame, outline * (1.2, 0.5) + (x + 0.3 * radius, y + 0.6 * radius), toned(colour, 0.5))
    brushes.polygon(frame, outline + np.array([x, y]), toned(colour, 0.8))
    brushes.polygon(frame, outline * 0.66 + (x - 0.15 * radius, y - 0.22 * radius), toned(colour, 1.1))


def _cactus(rng: np.random.Generator, frame: Frame, x: float, y: float) -> None:
    """Draw a branched cactus whose foot is at (x, y)."""
    tall, green = rng.uniform(0.15, 0.35), varied((76, 108, 70), rng, amount=1.2)
    for path in (
        points((x, y), (x, y - tall)),
        points((x, y - 0.4 * tall), (x + 0.25 * tall, y - 0.45 * tall), (x + 0.27 * tall, y - 0.75 * tall)),
        points((x, y - 0.3 * tall), (x - 0.22 * tall, y - 0.36 * tall), (x - 0.24 * tall, y - 0.6 * tall)),
    ):
        brushes.polygon(frame, limb(path, (0.09 * tall, 0.07 * tall)), green)
        brushes.lines(frame, [path - (0.02 * tall, 0)], toned(green, 1.3), 0.005)


def draw_snow_or_savanna(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a plain with trees: firs on snow, or flat-topped acacias on dry grass."""
    frame = open_sky(rng, size)
    wide, high = brushes.extent(frame)
    horizon, snow = rng.uniform(0.3, 0.55), rng.random() < 0.5
    ground = varied((226, 232, 240) if snow else (186, 156, 84), rng, amount=0.35 if snow else 1.0)
    far = mixed(ground, (112, 124, 150), 0.55)
    brushes.polygon(frame, brushes.ridge(rng, frame, horizon - 0.08, 0.16, rough=0.6), toned(far, 1.1))
    brushes.polygon(frame, brushes.ridge(rng, frame, horizon, 0.03), toned(ground, 0.92))
    for y in np.sort(rng.uniform(horizon, horizon + 0.14, int(rng.integers(4, 11)))):
        x, tall = rng.uniform(0, wide), rng.uniform(0.16, 0.34) * (1 + 3 * (y - horizon))
        (_fir if snow else _acacia)(rng, frame, x, y, tall)
    for level in (horizon + 0.16, horizon + 0.34):
        brushes.polygon(frame, brushes.ridge(rng, frame, level, 0.05), toned(ground, rng.uniform(0.93, 1.04)))
    if not snow:
        tones = (toned(ground, 0.62), toned(ground, 0.8), toned(ground, 1.2))
        brushes.blades(rng, frame, tones, top=horizon + 0.08, count=130, length=0.08)
    brushes.mottled(
        frame, brushes.fractal_noise(rng, size, cells=5, stretch=1.5), amount=0.1 if snow else 0.16, top=horizon
    )
    if snow and rng.random() < 0.5:
        for x, y in rng.uniform((0, 0), (wide, high), (60, 2)):
            brushes.disc(frame, x, y, rng.uniform(0.003, 0.009), (250, 250, 252))
    return frame


def _fir(rng: np.random.Generator, frame: Frame, x: float, y: float, tall: float) -> None:
    """Draw a fir with snow on its tiers; its foot is at (x, y)."""
    green = varied((44, 76, 64), rng, amount=1.0)
    brushes.box(frame, x - 0.03 * tall, y - 0.15 * tall, x + 0.03 * tall, y, (70, 52, 42))
    for tier in (0.12, 0.36, 0.6):
        half, foot, tip = (0.34 - 0.3 * tier) * tall, y - tier * tall, y - (tier + 0.4) * tall
        brushes.polygon(frame, points((x - half, foot), (x, tip), (x + half, foot)), green)
        brushes.polygon(
            frame,
            points((x - 0.6 * half, foot - 0.12 * tall), (x, tip), (x + 0.2 * half, foot - 0.14 * tall)),
            (214, 224, 232),
        )


def _acacia(rng: np.random.Generator, frame: Frame, x: float, y: float, tall: float) -> None:
    """Draw a flat-topped tree; its foot is at (x, y)."""
    green, bark = varied((96, 104, 52), rng, amount=1.2), (82, 62, 46)
    for lean in (-0.35, 0.1, 0.4):
        brushes.polygon(
            frame,
            limb(
                points((x, y), (x + 0.1 * lean * tall, y - 0.4 * tall), (x + lean * tall, y - 0.8 * tall)),
                (0.04 * tall, 0.015 * tall),
            ),
            bark,
        )
    for tone, dy, grow in ((0.75, 0.0, 1.0), (1.0, 0.06, 0.85)):
        top = y - (0.82 + dy) * tall
        crown = blob(
            (x - 0.7 * grow * tall, top),
            (x - 0.3 * tall, top - 0.16 * tall),
            (x + 0.3 * tall, top - 0.17 * tall),
            (x + 0.72 * grow * tall, top + 0.02 * tall),
            (x, top + 0.07 * tall),
        )
        brushes.polygon(frame, crown, toned(green, tone))


def draw_jungle(rng: np.random.Generator, size: tuple[int, int]) -> Frame:
    """Draw a dense forest: trunks, hanging vines, fronds at the borders and shafts of light."""
    greens: tuple[Colour, ...] = ((40, 88, 48), (64, 104, 52), (34, 72, 62), (86, 110, 62), (58, 80, 50))
    green = varied(greens[int(rng.integers(len(greens)))], rng, amount=1.0)
    frame = brushes.graded(size, toned(green, rng.uniform(0.6, 1.6)), toned(green, rng.uniform(0.35, 0.9)))
    wide, _ = brushes.extent(frame)
    brushes.mottled(frame, brushes.fractal_noise(rng, size, cells=5, octaves=4), amount=0.4)
    _foliage(rng, frame, green, count=70)
    bark = varied((92, 74, 54), rng, amount=1.5)
    for x in rng.uniform(0, wide, int(rng.integers(2, 6))):
        _trunk(rng, frame, x, toned(bark, rng.uniform(0.5, 1.1)))
    if rng.random() < 0.6:
        light_shafts(rng, frame, (244, 240, 190), strength=rng.uniform(0.15, 0.35))
    _foliage(rng, frame, toned(green, 1.1), count=30)
    for _ in range(int(rng.integers(2, 6))):
        ends = rng.uniform(-0.1, wide + 0.1, 2)
        sag = rng.uniform(0.2, 0.9)
        vine = (
            curve(points((ends[0], -0.05), (ends.mean(), sag), (ends[1], -0.05)))
            if rng.random() < 0.5
            else curve(points((ends[0], -0.05), (ends[0] + 0.05, 0.4), (ends[0] - 0.03, sag + 0.3)))
        )
        brushes.lines(frame, [vine], toned(mixed(green, bark, 0.5), 0.7), 0.016)
        brushes.lines(frame, [vine - 0.003], toned(mixed(green, bark, 0.3), 1.15), 0.005)
        for knot in vine[::2]:
            brushes.polygon(
                frame,
                ellipse(knot[0] + 0.02, knot[1] + 0.015, 0.03, 0.013, angle=rng.uniform(0, 90)),
                toned(green, rng.uniform(0.8, 1.3)),
            )
    for _ in range(int(rng.integers(4, 9))):
        _frond(rng, frame, varied(toned(green, rng.uniform(0.8, 1.3)), rng, amount=0.8))
    return frame


def _foliage(rng: np.random.Generator, frame: Frame, green: Colour, *, count: int) -> None:
    """Scatter small leaves over the frame, dark and light."""
    wide, high = brushes.extent(frame)
    for x, y in rng.uniform((0, 0), (wide, high), (count, 2)):
        leaf = ellipse(x, y, rng.uniform(0.03, 0.07), rng.uniform(0.012, 0.026), angle=rng.uniform(0, 180))
        brushes.polygon(frame, leaf, toned(green, rng.uniform(0.5, 1.3)))


def _trunk(rng: np.random.Generator, frame: Frame, x: float, bark: Colour) -> None:
    """Draw an upright trunk with furrows through the whole height."""
    _, high = brushes.extent(frame)
    half, lean = rng.uniform(0.025, 0.09), rng.uniform(-0.12, 0.12)
    spine = points((x, -0.1), (x + lean, 0.5 * high), (x + 0.6 * lean, high + 0.1))
    brushes.polygon(frame, limb(spine, (0.8 * half, half, 1.3 * half)), bark)
    brushes.polygon(frame, limb(spine - (0.4 * half, 0), (0.3 * half, 0.4 * half, 0.5 * half)), toned(bark, 1.18))
    furrows = [curve(spine) + np.array([dx * half, 0]) for dx in rng.uniform(-0.8, 0.8, 5)]
    brushes.lines(frame, furrows, toned(bark, 0.65), 0.004)


def _frond(rng: np.random.Generator, frame: Frame, colour: Colour) -> None:
    """Draw a feathered palm frond that reaches in from a border."""
    wide, high = brushes.extent(frame)
    foot = points(
        (-0.05, rng.uniform(0, high)), (wide + 0.05, rng.uniform(0, high)), (rng.uniform(0, wide), high + 0.05)
    )[int(rng.integers(3))]
    aim = points((wide / 2, high / 2))[0] - foot
    reach = rng.uniform(0.25, 0.5) * aim / np.linalg.norm(aim) + rng.normal(0, 0.08, 2)
    rib = curve(np.stack([foot, foot + 0.6 * reach + (0, -0.08), foot + reach + (0, 0.05)]))
    across = np.array([-reach[1], reach[0]]) * 0.42
    for i, knot in enumerate(rib[:-1]):
        swell = np.sin(np.pi * (i + 1.5) / (len(rib) + 1))
        for side in (-1, 1):
            tip = knot + side * swell * across + 0.22 * reach
            wide_at, bulge = (0.6 * knot + 0.4 * tip), 0.018 * reach / np.linalg.norm(reach)
            brushes.polygon(
                frame, np.stack([knot, wide_at - bulge, tip, wide_at + bulge]), toned(colour, 0.85 if side > 0 else 1.1)
            )
    brushes.lines(frame, [rib], toned(colour, 0.6), 0.008)
