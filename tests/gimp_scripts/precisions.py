"""Every precision, colour model and transparency: dreamed through an ellipse, and with strength 0."""

# mypy: ignore-errors
from __future__ import annotations

from gimp_common import check, compared, dream, dreamed, ellipse, new_image, new_layer, samples, selection

DEPTHS = ("U8", "U16", "U32", "HALF", "FLOAT", "DOUBLE")
CURVES = ("LINEAR", "NON_LINEAR", "PERCEPTUAL")


def main(half):
    """Do every second depth, as two GIMPs do all of them in less time."""
    for depth in DEPTHS[half::2]:
        for curve in CURVES:
            for base in ("RGB", "GRAY"):
                for alpha in (True, False):
                    with check(f"{depth}_{curve} {base}{' with alpha' if alpha else ''}") as facts:
                        one(facts, f"{depth}_{curve}", base, alpha)


def one(facts, precision, base, alpha):
    image = new_image(base, precision)
    layer = new_layer(image, alpha=alpha)
    ellipse(image)
    image.clean_all()
    before, selected = samples(layer), selection(image, layer)
    if alpha == (base == "RGB"):  # no pixel is touched then, so models matter little
        none = dream(image, layer, strength=0.0)
        facts["strength_0"] = {**none, **compared(before, samples(layer), selected), "dirty": image.is_dirty()}
    dreamed(facts, image, layer)
    facts["dirty"] = image.is_dirty()
