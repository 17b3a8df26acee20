"""Photographs for the demonstration: free ones that two well-known packages ship, and two made from them."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image

SHIPPED = {
    "astronaut.png": ("skimage", "data/astronaut.png"),  # NASA, public domain
    "coffee.png": ("skimage", "data/coffee.png"),  # Rachel Michetti, CC0
    "rocket.jpg": ("skimage", "data/rocket.jpg"),  # SpaceX, CC0
    "grace-hopper.jpg": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),  # U.S. Navy, public domain
}
ROTATED = 6  # EXIF: turn a quarter to the right to see it upright


def find_photographs() -> dict[str, bytes]:
    """The photographs by name. Raises LookupError naming the package that is not installed."""
    found = {}
    for name, (package, path) in SHIPPED.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            distribution = "scikit-image" if package == "skimage" else package
            raise LookupError(f"{name} comes with {distribution}: pip install --no-deps {distribution}")
        found[name] = Path(spec.submodule_search_locations[0], path).read_bytes()
    found["large-rotated.jpg"] = make_rotated(found["rocket.jpg"])
    found["transparent.png"] = make_transparent(found["coffee.png"])
    return found


def make_rotated(photograph: bytes, width: int = 3000) -> bytes:
    """A large JPEG that lies on its side and says so in its EXIF data, as a telephone writes it."""
    image = Image.open(BytesIO(photograph)).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width))).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    data = BytesIO()
    image.save(data, format="JPEG", quality=88, exif=exif)
    return data.getvalue()


def make_transparent(photograph: bytes, width: int = 120) -> bytes:
    """A small PNG that fades out towards its right edge."""
    image = Image.open(BytesIO(photograph)).convert("RGBA")
    image.thumbnail((width, width))
    fade = Image.linear_gradient("L").rotate(270).resize(image.size)
    image.putalpha(fade)
    data = BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()
