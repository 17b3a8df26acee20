"""Making thumbnails: the only module that imports Pillow."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from portable import BlobEvent, Router
from storage import photos, thumbnails

router = Router()
SIZE = (256, 256)


@router.on_blob(photos, memory=1024, timeout=timedelta(minutes=5))
def make_thumbnail(event: BlobEvent) -> None:
    """Turn the photograph upright, make it fit 256 × 256, keep its format and transparency."""
    try:
        image = Image.open(BytesIO(photos.read(event.key)))
        kind = image.format
        image = ImageOps.exif_transpose(image)
        image.thumbnail(SIZE)
    except (UnidentifiedImageError, OSError) as error:
        # No attempt will ever succeed: say so once instead of letting the cloud repeat it.
        print(f"{event.key} cannot be read as an image: {error}")
        return
    data = BytesIO()
    image.save(data, format=kind)
    thumbnails.write(event.key, data.getvalue(), content_type=f"image/{(kind or '').lower()}")
