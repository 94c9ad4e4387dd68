"""Makes the photographs of this folder from skimage's astronaut.png.

    python3 make_images.py ASTRONAUT_PNG

The PNG is in Debian's package python3-skimage (skimage/data/astronaut.png). Needs Pillow. The files
are committed; run this only to make them anew.
"""
import pathlib
import sys

from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
FACE_X, FACE_Y, FACE_SIDE = 171, 64, 104  # the face in astronaut.png, pixels
MARGIN = 0.2
FACE_INPUT = 112  # the heads' input size

photograph = Image.open(sys.argv[1]).convert("RGB")
photograph.save(HERE / "astronaut.jpg", quality=90)
margin = round(FACE_SIDE * MARGIN)
box = (FACE_X - margin, FACE_Y - margin, FACE_X + FACE_SIDE + margin, FACE_Y + FACE_SIDE + margin)
face = photograph.crop(box).resize((FACE_INPUT, FACE_INPUT), Image.Resampling.BICUBIC)
face.save(HERE / "astronaut_face.jpg", quality=90)
