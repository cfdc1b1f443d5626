#!/usr/bin/env python3
"""Draws the pages of the report with Chromium as a phone and as a desk show them, by day and by night, and compares
with the pictures that are kept.

    pictures.py PAGES KEPT [--update]

PAGES holds report.html and fleet.html (the test `the_pages_of_the_pictures_…` writes them), KEPT one PNG each. A
picture that differs in more than a hundredth of its points, or in size, is a failure: the new one is then left beside
the page. --update keeps the new ones. Fonts smooth their edges differently from one version of the browser to the
next: a point differs when one of its colours is off by more than 64 of 255.
"""
import pathlib
import subprocess
import sys

from PIL import Image, ImageChops

BROWSER = "chromium-headless-shell"
# Width and, for each page, height in points.
SHAPES = [("phone", 390, {"report": 2400, "fleet": 1000}), ("desk", 1280, {"report": 1500, "fleet": 640})]
# Values of Blink's preferredColorScheme.
LIGHTS = [("dark", 0), ("light", 1)]
FAR = 64
MOST = 0.01


def draw(page, picture, width, height, scheme):
    subprocess.run(
        [BROWSER, "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
         "--font-render-hinting=none", f"--blink-settings=preferredColorScheme={scheme}",
         f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()],
        check=True, capture_output=True, timeout=120)
    image = Image.open(picture).convert("RGB")
    image.quantize(64).save(picture, optimize=True)


def differing(new, kept):
    """Share of the points that differ; None: not the same size."""
    one, other = (Image.open(path).convert("RGB") for path in (new, kept))
    if one.size != other.size:
        return None
    bands = ImageChops.difference(one, other).split()
    far = bands[0]
    for band in bands[1:]:
        far = ImageChops.lighter(far, band)
    return sum(far.histogram()[FAR + 1:]) / (far.size[0] * far.size[1])


def main():
    pages, kept = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    update = "--update" in sys.argv[3:]
    failed = 0
    for page in sorted(pages.glob("*.html")):
        for shape, width, heights in SHAPES:
            for light, scheme in LIGHTS:
                name = f"{page.stem}-{shape}-{light}.png"
                new = pages / name
                draw(page, new, width, heights[page.stem], scheme)
                if update:
                    (kept / name).write_bytes(new.read_bytes())
                    continue
                share = differing(new, kept / name) if (kept / name).exists() else None
                good = share is not None and share <= MOST
                failed += not good
                said = "another size, or none kept" if share is None else f"{share:.2%} of its points differ"
                print(f"{'ok  ' if good else 'FAIL'}  {name}: {said}")
    if failed:
        print(f"the new ones are in {pages}; pictures.py --update keeps them")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
