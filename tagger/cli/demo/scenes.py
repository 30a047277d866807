"""Sample pictures that the demo draws, and the demo weights that know them.

Every scene can be drawn in endless variants: the same things in other places, sizes and
colours, as the seed says.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import piexif
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 800, 600
VARIANTS = 12
"""How many variants of each scene the demo weights are fitted to."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A kind of picture: its file name's stem, its ImageNet class, and how it is drawn."""

    name: str
    class_index: int
    paint: Callable[[ImageDraw.ImageDraw, random.Random], None]


def _sky(draw: ImageDraw.ImageDraw, top: Colour, bottom: Colour, until: int) -> None:
    for y in range(until):
        share = y / (until - 1)
        colour = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        draw.line([(0, y), (WIDTH, y)], fill=colour)


def _near(dice: random.Random, colour: Colour, spread: int = 18) -> Colour:
    red, green, blue = (max(0, min(255, c + dice.randint(-spread, spread))) for c in colour)
    return red, green, blue


def _mountain(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    _sky(draw, _near(dice, (70, 130, 220)), _near(dice, (190, 215, 245)), HEIGHT)
    for snow, shade in ((0.3, (120, 130, 160)), (0.4, (90, 95, 120))):
        for _ in range(3):
            peak = dice.uniform(0.1, 0.9) * WIDTH, dice.uniform(0.12, 0.4) * HEIGHT
            half = dice.uniform(0.25, 0.4) * WIDTH
            foot = HEIGHT * 0.85
            draw.polygon(
                [(peak[0] - half, foot), peak, (peak[0] + half, foot)], fill=_near(dice, shade, 10)
            )
            low = peak[1] + (foot - peak[1]) * snow
            cap = [(peak[0] - half * snow, low), peak, (peak[0] + half * snow, low)]
            cap.insert(0, (peak[0] - half * snow * 0.2, low - 15))
            draw.polygon(cap, fill=(245, 248, 255))
    draw.rectangle([0, HEIGHT * 0.83, WIDTH, HEIGHT], fill=_near(dice, (60, 110, 60)))
    for _ in range(40):
        x, y = dice.uniform(0, WIDTH), dice.uniform(0.82, 0.97) * HEIGHT
        size = dice.uniform(15, 40)
        draw.polygon([(x - size / 3, y), (x, y - size), (x + size / 3, y)], fill=(25, 70, 40))


def _seashore(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    horizon = dice.uniform(0.3, 0.42) * HEIGHT
    _sky(draw, _near(dice, (90, 170, 240)), _near(dice, (225, 240, 250)), round(horizon))
    sun = dice.uniform(0.1, 0.9) * WIDTH
    draw.ellipse([sun - 30, 30, sun + 30, 90], fill=(255, 240, 150))
    draw.rectangle([0, horizon, WIDTH, HEIGHT], fill=_near(dice, (20, 120, 160)))
    for _ in range(60):
        x, y = dice.uniform(0, WIDTH), dice.uniform(horizon + 5, HEIGHT * 0.7)
        draw.line([(x, y), (x + dice.uniform(20, 70), y)], fill=(120, 195, 215), width=2)
    beach = [(0.0, float(HEIGHT))]
    edge, phase = dice.uniform(0.66, 0.74) * HEIGHT, dice.uniform(0, 6)
    beach += [(x, edge + 14 * math.sin(x / 70 + phase)) for x in range(0, WIDTH + 20, 20)]
    beach.append((WIDTH, HEIGHT))
    draw.polygon(beach, fill=_near(dice, (235, 210, 155), 10))
    draw.line(beach[1:-1], fill=(255, 255, 255), width=7)


def _lemon(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    draw.rectangle([0, 0, WIDTH, HEIGHT], fill=_near(dice, (225, 225, 220), 12))
    draw.rectangle([0, HEIGHT * 0.55, WIDTH, HEIGHT], fill=_near(dice, (140, 90, 50)))
    for _ in range(dice.randint(2, 4)):
        x, y = dice.uniform(0.25, 0.75) * WIDTH, dice.uniform(0.45, 0.7) * HEIGHT
        long, high = dice.uniform(110, 160), dice.uniform(80, 110)
        yellow = _near(dice, (250, 215, 40), 10)
        draw.ellipse([x - long - 24, y - 22, x - long + 40, y + 22], fill=yellow)
        draw.ellipse([x + long - 40, y - 22, x + long + 24, y + 22], fill=yellow)
        draw.ellipse([x - long, y - high, x + long, y + high], fill=yellow)
        draw.ellipse([x - long * 0.6, y - high * 0.7, x, y - high * 0.2], fill=(255, 240, 130))


def _balloon(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    _sky(draw, _near(dice, (120, 190, 250)), _near(dice, (230, 242, 252)), HEIGHT)
    for _ in range(dice.randint(1, 2)):
        x, y = dice.uniform(0.3, 0.7) * WIDTH, dice.uniform(0.3, 0.45) * HEIGHT
        radius = dice.uniform(120, 165)
        colours = [_near(dice, c) for c in ((220, 40, 40), (250, 190, 40), (60, 80, 200))]
        for stripe in range(7):
            share = 1 - stripe / 7
            draw.ellipse(
                [x - radius * share, y - radius, x + radius * share, y + radius],
                fill=colours[stripe % 3],
            )
        low = y + radius
        for side in (-1, 1):
            draw.line([(x + side * 50, low - 25), (x + side * 20, low + 48)], (80, 60, 40), 3)
        draw.rectangle([x - 22, low + 45, x + 22, low + 80], fill=(120, 75, 35))


def _strawberry(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    draw.rectangle([0, 0, WIDTH, HEIGHT], fill=_near(dice, (70, 140, 60), 15))
    for _ in range(60):
        x, y = dice.uniform(0, WIDTH), dice.uniform(0, HEIGHT)
        draw.ellipse([x - 50, y - 24, x + 50, y + 24], fill=_near(dice, (60, 125, 50), 22))
    for _ in range(dice.randint(3, 5)):
        x, y, r = dice.uniform(120, 680), dice.uniform(140, 400), dice.uniform(75, 110)
        red = _near(dice, (215, 25, 40), 12)
        draw.polygon([(x - r, y), (x + r, y), (x, y + 2 * r)], fill=red)
        draw.ellipse([x - r, y - r * 0.7, x + r, y + r * 0.75], fill=red)
        for _ in range(26):
            sx, sy = x + dice.uniform(-0.6, 0.6) * r, y + dice.uniform(-0.4, 1.1) * r
            draw.ellipse([sx - 3, sy - 5, sx + 3, sy + 5], fill=(250, 220, 110))
        for leaf in range(5):
            angle = math.pi * (0.15 + 0.175 * leaf)
            tip = x - math.cos(angle) * r * 0.8, y - r * 0.6 - math.sin(angle) * r * 0.4
            draw.polygon([(x - 18, y - r * 0.6), tip, (x + 18, y - r * 0.6)], fill=(30, 110, 35))


def _traffic_light(draw: ImageDraw.ImageDraw, dice: random.Random) -> None:
    _sky(draw, _near(dice, (150, 160, 175)), _near(dice, (205, 210, 215)), HEIGHT)
    for left in range(0, WIDTH, 130):
        roof = dice.uniform(0.45, 0.65) * HEIGHT
        draw.rectangle([left, roof, left + 120, HEIGHT], fill=_near(dice, (110, 105, 105)))
    x, top = dice.uniform(0.35, 0.65) * WIDTH, dice.uniform(0.06, 0.14) * HEIGHT
    draw.rectangle([x - 14, top + 300, x + 14, HEIGHT], fill=(50, 52, 55))
    draw.rectangle([x - 75, top, x + 75, top + 340], fill=(28, 30, 30))
    lit = dice.randrange(3)
    for number, (bright, dark) in enumerate(
        (
            ((255, 40, 30), (80, 20, 20)),
            ((255, 190, 30), (80, 65, 15)),
            ((40, 230, 90), (15, 70, 30)),
        )
    ):
        y = top + 65 + 105 * number
        draw.ellipse([x - 45, y - 45, x + 45, y + 45], fill=bright if number == lit else dark)


SCENES = (
    Scene("mountain", 970, _mountain),
    Scene("seaside", 978, _seashore),
    Scene("lemons", 951, _lemon),
    Scene("balloon", 417, _balloon),
    Scene("strawberries", 949, _strawberry),
    Scene("traffic-light", 920, _traffic_light),
)


def draw(scene: Scene, seed: int) -> Image.Image:
    """Return one variant of a scene, RGB, 800 x 600 pixels; the same for the same seed."""
    dice = random.Random(f"{scene.name} {seed}")  # noqa: S311 - pictures, not secrets
    image = Image.new("RGB", (WIDTH, HEIGHT))
    scene.paint(ImageDraw.Draw(image), dice)
    return image.filter(ImageFilter.GaussianBlur(1.2))


def write_samples(folder: str) -> list[str]:
    """Write one picture of each scene into ``folder``; return their paths.

    All are JPEGs with the date they were "taken", but for one PNG.
    """
    paths = []
    for number, scene in enumerate(SCENES):
        image = draw(scene, seed=1000 + number)
        if scene.name == "balloon":
            path = os.path.join(folder, f"{scene.name}.png")
            image.save(path)
        else:
            path = os.path.join(folder, f"{scene.name}.jpg")
            taken = f"2026:{number + 4:02d}:12 1{number}:30:00"
            exif = piexif.dump({"Exif": {piexif.ExifIFD.DateTimeOriginal: taken.encode()}})
            image.save(path, quality=90, exif=exif)
        paths.append(path)
    return paths


def demo_weights(path: str) -> None:
    """Make weights of a ResNet-18 that knows the scenes and nothing else, at ``path``."""
    from tagger.cli.demo.weights import make_demo_weights

    crops: list[Image.Image] = []
    classes: list[int | None] = []
    for scene in SCENES:
        for seed in range(VARIANTS):
            crops.append(_crop(draw(scene, seed), seed % 3))
            classes.append(scene.class_index)
    crops += [_nothing(seed) for seed in range(2 * VARIANTS)]
    classes += [None] * (2 * VARIANTS)
    make_demo_weights(path, np.stack([np.asarray(crop) for crop in crops]), classes)


def _nothing(seed: int) -> Image.Image:
    """Return a picture of nothing: noise, fine or coarse, strong or weak, in one colour."""
    dice = np.random.default_rng(seed)
    side = (224, 56, 14, 3)[seed % 4]
    colour = dice.integers(0, 256, 3)
    noise = colour + dice.normal(0, (4, 40, 90)[seed % 3], (side, side, 3))
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    return image.resize((224, 224), Image.Resampling.BICUBIC)


def _crop(image: Image.Image, place: int) -> Image.Image:
    """Return the left, middle or right square of a picture, as the model sees it."""
    side = image.height * 7 // 8
    left = (image.width - side) * (1, 0, 2)[place] // 2
    top = (image.height - side) // 2
    return image.resize((224, 224), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
