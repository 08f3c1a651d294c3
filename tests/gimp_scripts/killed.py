"""Two endless dreams, which the test ends: it kills the plug-in in the first, the helper in the second."""

# mypy: ignore-errors
from __future__ import annotations

from gimp_common import check, dream, new_image, new_layer, report, samples


def main():
    for name in ("the plug-in killed", "the helper killed"):
        with check(name) as facts:
            image = new_image(width=256, height=256)
            layer = new_layer(image, width=256, height=256)
            image.clean_all()
            before = samples(layer)
            report(began=name)
            facts.update(dream(image, layer, layer="relu5_4", iterations=1000))
            facts["same"] = samples(layer) == before
            facts["layers"] = len(image.get_layers())
            facts["dirty"] = image.is_dirty()
