"""Writes the goldens of vision/preprocess: what Pillow and transformers make of small images.

    $ORACLES/bin/python tests/parity/make_preprocess_goldens.py

ORACLES is a Python environment with Pillow, numpy and transformers; it defaults to .oracles
in the checkout, and this script starts itself there. The goldens are committed, so that
preprocess_parity_test needs no Python.

cases.txt, one case a line (paths relative to the folder; .rgb files are raw height x width x 3):
    decode FILE WIDTH HEIGHT exact|near        FILE.rgb = Image.open(FILE).convert("RGB")
    resize FILE WIDTH HEIGHT                   FILE_WxH.rgb = FILE.rgb resized bicubic
    orient FILE                                FILE_orientN.rgb = exif_transpose, N = 1..8
    patchify FILE T H W                        FILE.f32 = pixel_values of FILE.rgb, grid T H W
    frames FILE,FILE,... T H W                 frames.f32 = pixel_values of the clip
smart_resize.txt: HEIGHT WIDTH FACTOR MIN MAX -> HEIGHT WIDTH | error
"""
import json
import os
import pathlib
import random
import struct
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORACLES = pathlib.Path(os.environ.get("ORACLES", ROOT / ".oracles"))
if not sys.prefix.startswith(str(ORACLES.resolve())) and (ORACLES / "bin/python").exists():
    os.execv(ORACLES / "bin/python", [str(ORACLES / "bin/python"), *sys.argv])

import numpy as np  # noqa: E402
import PIL  # noqa: E402
import transformers  # noqa: E402
from PIL import Image, ImageOps, features  # noqa: E402
from transformers import Qwen2VLImageProcessor  # noqa: E402  the PIL-backed one, by name
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize  # noqa: E402

OUT = ROOT / "tests/data/parity/preprocess"
PHOTOGRAPH = Image.open(ROOT / "tests/data/images/astronaut.jpg").convert("RGB")
MIN_PIXELS, MAX_PIXELS = 3136, 12845056
cases = []

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]  # x, y, step in x, step in y


def photograph(width, height, x=180, y=70):
    return PHOTOGRAPH.crop((x, y, x + width, y + height))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, colour_type, depth, extra=b"", interlaced=False):
    """A PNG of any kind: Pillow writes neither interlaced nor 2- and 4-bit grey ones.

    values: [height, width, channels] integers below 2**depth.
    """
    def rows(part):
        height, width, channels = part.shape
        bits = part.reshape(height, width * channels, 1) >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    values = values.reshape(values.shape[0], values.shape[1], CHANNELS[colour_type])
    height, width = values.shape[:2]
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [values[y::dy, x::dx] for x, y, dx, dy in passes]
    data = b"".join(rows(part) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def decode_case(name, exactness, content=None):
    path = OUT / name
    if content is not None:
        path.write_bytes(content)
    image = Image.open(path).convert("RGB")
    (OUT / f"{name}.rgb").write_bytes(image.tobytes())
    cases.append(f"decode {name} {image.width} {image.height} {exactness}")


def jpeg_case(name, image, **options):
    image.save(OUT / name, "JPEG", **options)
    decode_case(name, "near")


def make_jpegs():
    jpeg_case("face_112.jpg", photograph(112, 112), quality=90)
    jpeg_case("odd_444.jpg", photograph(61, 47), quality=85, subsampling=0)
    jpeg_case("odd_422.jpg", photograph(45, 33), quality=60, subsampling=1)
    jpeg_case("odd_420.jpg", photograph(53, 39), quality=75, subsampling=2)
    jpeg_case("progressive.jpg", photograph(67, 58), quality=80, progressive=True)
    jpeg_case("restarts.jpg", photograph(50, 34), quality=70, restart_marker_blocks=2)
    jpeg_case("rgb_adobe.jpg", photograph(37, 29), quality=90, keep_rgb=True)
    jpeg_case("grey.jpg", photograph(43, 51).convert("L"), quality=80)
    jpeg_case("one_pixel.jpg", photograph(1, 1), quality=80)


def make_pngs():
    noise = np.random.default_rng(7)
    colours = noise.integers(0, 256, 768, dtype=np.uint8).tobytes()
    rgb = np.asarray(photograph(35, 27)).astype(int)
    alpha = noise.integers(0, 256, (27, 35, 1))
    rgba = np.concatenate([rgb, alpha], axis=2)
    grey_alpha = np.concatenate([rgb[:, :, :1], alpha], axis=2)
    decode_case("rgb.png", "exact", png(rgb, RGB, 8))
    decode_case("rgb_trns.png", "exact", png(rgb, RGB, 8, chunk(b"tRNS", struct.pack(">HHH", *rgb[0, 0]))))
    decode_case("rgb_gamma.png", "exact", png(rgb, RGB, 8, chunk(b"gAMA", struct.pack(">I", 100000))))
    decode_case("rgb_interlaced.png", "exact", png(rgb, RGB, 8, interlaced=True))
    decode_case("rgba.png", "exact", png(rgba, RGB_ALPHA, 8))
    decode_case("rgba_interlaced.png", "exact", png(rgba, RGB_ALPHA, 8, interlaced=True))
    decode_case("grey_alpha.png", "exact", png(grey_alpha, GREY_ALPHA, 8))
    for depth in (1, 2, 4, 8):
        few = rgb[:, :, :1] >> (8 - depth)
        transparent_grey = chunk(b"tRNS", struct.pack(">H", 1))
        palette = chunk(b"PLTE", colours[: 3 * 2**depth])
        alphas = chunk(b"tRNS", bytes([0, 128]))
        decode_case(f"grey_{depth}.png", "exact", png(few, GREY, depth))
        decode_case(f"grey_{depth}_trns.png", "exact", png(few, GREY, depth, transparent_grey))
        decode_case(f"palette_{depth}.png", "exact", png(few, PALETTE, depth, palette))
        decode_case(f"palette_{depth}_trns.png", "exact", png(few, PALETTE, depth, palette + alphas))
        decode_case(f"palette_{depth}_interlaced.png", "exact",
                    png(few, PALETTE, depth, palette, interlaced=True))
    short = chunk(b"PLTE", colours[: 3 * 100])  # pixels of 100 and more have no entry
    decode_case("palette_short.png", "exact", png(rgb[:, :, :1], PALETTE, 8, short))


def make_webps():
    image = photograph(41, 31)
    transparent = image.copy()
    transparent.putalpha(photograph(41, 31, 90, 200).convert("L"))
    image.save(OUT / "lossy.webp", quality=80)
    decode_case("lossy.webp", "near")
    image.save(OUT / "lossless.webp", lossless=True)
    decode_case("lossless.webp", "exact")
    transparent.save(OUT / "lossy_alpha.webp", quality=80)
    decode_case("lossy_alpha.webp", "near")
    transparent.save(OUT / "lossless_alpha.webp", lossless=True, exact=True)
    decode_case("lossless_alpha.webp", "exact")


def decoded(name):
    return Image.open(OUT / name).convert("RGB")


def make_resizes():
    for name, width, height in [
        ("face_112.jpg", 56, 56), ("face_112.jpg", 28, 84),
        ("odd_444.jpg", 112, 84), ("odd_444.jpg", 61, 20), ("odd_444.jpg", 17, 47),
        ("progressive.jpg", 56, 28), ("grey.jpg", 84, 56), ("rgba.png", 5, 3),
        ("rgb.png", 1, 1), ("palette_8.png", 28, 28), ("palette_1.png", 41, 30),
        ("one_pixel.jpg", 28, 28), ("rgb_adobe.jpg", 36, 30),
        # Around the rule that makes Pillow 13 begin with the vertical pass.
        ("odd_420.jpg", 50, 33), ("odd_420.jpg", 50, 32), ("odd_420.jpg", 60, 38),
        ("odd_420.jpg", 60, 40), ("odd_422.jpg", 45, 20), ("odd_422.jpg", 36, 8),
    ]:
        image = decoded(name).resize((width, height), Image.Resampling.BICUBIC)
        (OUT / f"{name}_{width}x{height}.rgb").write_bytes(image.tobytes())
        cases.append(f"resize {name} {width} {height}")


def make_orientations():
    name = "orient.png"
    photograph(5, 3).save(OUT / name)
    decode_case(name, "exact")
    for orientation in range(1, 9):
        image = decoded(name)
        image.getexif()[0x0112] = orientation
        turned = ImageOps.exif_transpose(image)
        (OUT / f"{name}_orient{orientation}.rgb").write_bytes(turned.tobytes())
    cases.append(f"orient {name}")


def make_patches():
    processor = Qwen2VLImageProcessor(min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    processor.min_pixels = 784  # small goldens: 28 x 28 stays as it is
    processor.size = {"shortest_edge": 784, "longest_edge": MAX_PIXELS}
    for name, width, height in [("patches_28.png", 28, 28), ("patches_56x28.png", 56, 28)]:
        photograph(width, height).save(OUT / name)
        decode_case(name, "exact")
        result = processor(images=decoded(name), return_tensors="np")
        values, grid = result["pixel_values"], result["image_grid_thw"][0]
        assert values.dtype == np.float32
        (OUT / f"{name}.f32").write_bytes(values.tobytes())
        cases.append("patchify {} {} {} {}".format(name, *grid))
    clip = ["patches_28.png", "frame_1.png", "frame_2.png"]
    for i, name in enumerate(clip[1:], 1):
        photograph(28, 28, 180 + 9 * i, 70).save(OUT / name)
        decode_case(name, "exact")
    values, grid = frames(processor, clip)
    (OUT / "frames.f32").write_bytes(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    cases.append("frames {} {} {} {}".format(",".join(clip), *grid))


def frames(processor, clip):
    return processor._preprocess(
        [decoded(name) for name in clip], do_resize=True, size=processor.size,
        resample=processor.resample, do_rescale=True, rescale_factor=processor.rescale_factor,
        do_normalize=True, image_mean=processor.image_mean, image_std=processor.image_std,
        patch_size=14, temporal_patch_size=2, merge_size=2, do_convert_rgb=True)


def make_smart_resizes():
    draw = random.Random(3)
    sides = [1, 2, 13, 14, 15, 28, 29, 41, 42, 43, 70, 98, 112, 126, 200, 333, 1000,
             1920, 4096]
    pairs = [(h, w) for h in sides for w in sides]
    pairs += [(draw.randint(1, 5000), draw.randint(1, 5000)) for _ in range(120)]
    pairs += [(h, h * 200) for h in (1, 7, 20)] + [(h, h * 200 + 1) for h in (1, 7, 20)]
    lines = []
    for height, width in pairs:
        for low, high in [(MIN_PIXELS, MAX_PIXELS), (3136, 1003520), (200704, 401408)]:
            try:
                answer = "{} {}".format(*smart_resize(height, width, 28, low, high))
            except ValueError:
                answer = "error"
            lines.append(f"{height} {width} 28 {low} {high} -> {answer}")
    (OUT / "smart_resize.txt").write_text("\n".join(lines) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    make_jpegs()
    make_pngs()
    make_webps()
    make_resizes()
    make_orientations()
    make_patches()
    make_smart_resizes()
    (OUT / "cases.txt").write_text("\n".join(cases) + "\n")
    (OUT / "versions.json").write_text(json.dumps({
        "pillow": PIL.__version__, "libjpeg_turbo": features.version("libjpeg_turbo"),
        "libwebp": features.version("webp"), "numpy": np.__version__,
        "transformers": transformers.__version__, "image_processor": "Qwen2VLImageProcessor",
    }, indent=2) + "\n")


main()
