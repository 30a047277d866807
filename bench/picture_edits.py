"""What people and programs do to a photo: the edits of ``bench/similar.py``, and drawn receipts."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

pillow_heif.register_heif_opener()

Edit = Callable[[Image.Image, random.Random], Image.Image]
Picture = Image.Image


def font(size: float) -> Any:
    return ImageFont.load_default(size=max(10, size))


def scaled(factor: float) -> Edit:
    def edit(image: Picture, _: random.Random) -> Picture:
        size = max(8, round(image.width * factor)), max(8, round(image.height * factor))
        return image.resize(size, Image.Resampling.LANCZOS)

    return edit


def stored(kind: str, **options: Any) -> Edit:
    def edit(image: Picture, _: random.Random) -> Picture:
        out = io.BytesIO()
        image.save(out, kind, **options)
        return Image.open(out).convert("RGB")

    return edit


def cut(share: float) -> Edit:
    """Cut so much off the width and the height, anywhere."""

    def edit(image: Picture, rng: random.Random) -> Picture:
        width, height = (round(side * (1 - share)) for side in image.size)
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return edit


def cut_side(share: float) -> Edit:
    def edit(image: Picture, rng: random.Random) -> Picture:
        width, height = image.size
        x, y = round(width * share), round(height * share)
        boxes = [(x, 0, width, height), (0, 0, width - x, height)]
        boxes += [(0, y, width, height), (0, 0, width, height - y)]
        return image.crop(rng.choice(boxes))

    return edit


def cut_to(ratio: float) -> Edit:
    def edit(image: Picture, _: random.Random) -> Picture:
        width, height = image.size
        if width / height > ratio:
            wanted = round(height * ratio)
            return image.crop(((width - wanted) // 2, 0, (width + wanted) // 2, height))
        wanted = round(width / ratio)
        return image.crop((0, (height - wanted) // 2, width, (height + wanted) // 2))

    return edit


def transposed(method: Image.Transpose) -> Edit:
    return lambda image, _: image.transpose(method)


def brighter(factor: float) -> Edit:
    return lambda image, _: ImageEnhance.Brightness(image).enhance(factor)


def grey(image: Picture, _: random.Random) -> Picture:
    return image.convert("L").convert("RGB")


def watermarked(image: Picture, _: random.Random) -> Picture:
    over = Image.new("RGBA", image.size, (0, 0, 0, 0))
    place = image.width * 0.4, image.height * 0.8
    ink = (255, 255, 255, 160)
    ImageDraw.Draw(over).text(place, "(c) A. Photographer", fill=ink, font=font(image.width / 12))
    return Image.alpha_composite(image.convert("RGBA"), over).convert("RGB")


def bordered(share: float, colour: tuple[int, int, int]) -> Edit:
    return lambda image, _: ImageOps.expand(image, round(min(image.size) * share), colour)


def captioned(image: Picture, _: random.Random) -> Picture:
    more = round(image.height * 0.12)
    paper = Image.new("RGB", (image.width, image.height + more), (255, 255, 255))
    paper.paste(image, (0, 0))
    place = 10, image.height + more // 5
    ImageDraw.Draw(paper).text(place, "Happy holidays to all!", fill=0, font=font(more / 2))
    return paper


def sepia(image: Picture, _: random.Random) -> Picture:
    light = np.asarray(image.convert("L"), float)[..., np.newaxis]
    return _drawn(light * [1.07, 0.87, 0.6] + [0, 5, 10])


def warm(image: Picture, _: random.Random) -> Picture:
    """A filter as applications have: warmer, more contrast, darker corners."""
    light = (np.asarray(image, float) / 255) ** [0.85, 1, 1.2]
    light = (light - 0.5) * 1.25 + 0.52
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    return _drawn(255 * light * (1 - 0.25 * (x**2 + y**2))[..., np.newaxis])


def faded(image: Picture, _: random.Random) -> Picture:
    return _drawn((40 + np.asarray(image, float) * 0.7) * [1, 0.97, 0.92] + [0, 4, 12])


def _drawn(light: Any) -> Picture:
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def on_screen(light: bool) -> Edit:
    """A telephone's screen that shows the picture between bars, with its marks."""

    def edit(image: Picture, _: random.Random) -> Picture:
        paper, ink = ((255, 255, 255), (0, 0, 0))[:: 1 if light else -1]
        screen = Image.new("RGB", (1080, 2340), paper)
        shown = ImageOps.contain(image, (1080, 2000), Image.Resampling.LANCZOS)
        screen.paste(shown, ((1080 - shown.width) // 2, (2340 - shown.height) // 2))
        draw = ImageDraw.Draw(screen)
        draw.text((60, 25), "12:41", fill=ink, font=font(42))
        draw.rectangle((950, 35, 1020, 65), outline=ink, width=4)
        for left in range(120, 1000, 240):
            draw.rectangle((left, 2220, left + 50, 2270), outline=ink, width=5)
        return screen

    return edit


def sent(image: Picture, rng: random.Random) -> Picture:
    """A chain of messengers: made smaller and compressed three times."""
    for side, quality in ((1600, 70), (1280, 60), (800, 70)):
        image = image.copy()
        image.thumbnail((side, side))
        image = stored("JPEG", quality=quality)(image, rng)
    return image


EDITS: dict[str, tuple[str, Edit]] = {
    "scale 90 %": ("resize", scaled(0.9)),
    "scale 50 %": ("resize", scaled(0.5)),
    "scale 25 %": ("resize", scaled(0.25)),
    "scale 10 %": ("resize", scaled(0.1)),
    "JPEG 95": ("recompress", stored("JPEG", quality=95)),
    "JPEG 60": ("recompress", stored("JPEG", quality=60)),
    "JPEG 30": ("recompress", stored("JPEG", quality=30)),
    "WebP": ("format", stored("WEBP", quality=70)),
    "HEIC": ("format", stored("HEIF", quality=60)),
    "turned by 90": ("turn", transposed(Image.Transpose.ROTATE_90)),
    "turned by 180": ("turn", transposed(Image.Transpose.ROTATE_180)),
    "turned by 270": ("turn", transposed(Image.Transpose.ROTATE_270)),
    "mirrored": ("turn", transposed(Image.Transpose.FLIP_LEFT_RIGHT)),
    "brighter by 20 %": ("light", brighter(1.2)),
    "darker by 20 %": ("light", brighter(0.8)),
    "grey": ("light", grey),
    "watermark": ("watermark", watermarked),
    "messengers": ("messengers", sent),
    "cut by 5 %": ("cut to 10 %", cut(0.05)),
    "cut by 10 %": ("cut to 10 %", cut(0.10)),
    "one side by 10 %": ("cut to 10 %", cut_side(0.10)),
    "cut by 15 %": ("cut to 20 %", cut(0.15)),
    "cut by 20 %": ("cut to 20 %", cut(0.20)),
    "one side by 20 %": ("cut to 20 %", cut_side(0.20)),
    "cut to 4:5": ("cut to 4:5", cut_to(0.8)),
    "sepia": ("filter", sepia),
    "warm filter": ("filter", warm),
    "faded filter": ("filter", faded),
    "white border": ("border", bordered(0.05, (255, 255, 255))),
    "black border": ("border", bordered(0.08, (0, 0, 0))),
    "caption": ("caption", captioned),
    "dark screenshot": ("screenshot", on_screen(False)),
    "light screenshot": ("screenshot", on_screen(True)),
}
"""Each with the kind that the target is for."""

_GOODS = "milk bread butter eggs apples rice pasta coffee tea sugar salt flour cheese ham".split()


def receipt(rng: random.Random, *, scanned: bool, lines: int = 14) -> Picture:
    """Return a receipt of one shop, with other goods and sums each; scanned, or on a table."""
    paper = Image.new("RGB", (600, 1100), (250, 250, 248))
    draw = ImageDraw.Draw(paper)
    draw.text((120, 40), "CORNER MARKET", fill=(20, 20, 20), font=font(44))
    draw.text((170, 100), "12 High Street", fill=(30, 30, 30), font=font(28))
    moment = f"{rng.randint(1, 28):02d}.{rng.randint(1, 12):02d}.2024  {rng.randint(8, 20)}:00"
    draw.text((60, 150), moment, fill=(30, 30, 30), font=font(26))
    for at in range(lines):
        goods = f"{rng.randint(1, 3)} x {rng.choice(_GOODS)} {rng.choice(_GOODS)}"
        draw.text((50, 210 + 40 * at), goods, fill=(40, 40, 40), font=font(28))
        draw.text((450, 210 + 40 * at), f"{rng.uniform(1, 20):8.2f}", fill=40, font=font(28))
    draw.text((50, 240 + 40 * lines), "TOTAL", fill=0, font=font(36))
    draw.text((420, 240 + 40 * lines), f"{rng.uniform(50, 99):8.2f}", fill=0, font=font(36))
    draw.text((120, 1040), "Thank you, come again", fill=(30, 30, 30), font=font(28))
    if scanned:
        return paper
    noise = np.random.default_rng(7).normal(0, 6, (1300, 900, 1))
    grain = np.sin(np.arange(900) / 17)[np.newaxis, :, np.newaxis] * 8
    table = _drawn(np.array([120, 84, 60]) + noise + grain)
    turned = paper.convert("RGBA").rotate(rng.uniform(-3, 3), expand=True)
    table.paste(turned, (140 + rng.randint(-10, 10), 90 + rng.randint(-10, 10)), turned)
    return table.filter(ImageFilter.GaussianBlur(1))
