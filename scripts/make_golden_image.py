#!/usr/bin/env python3
"""Makes tests/golden/image from Pillow (13 or later), torchvision, open_clip and transformers.

    python3 scripts/make_golden_image.py

resize.tsv and prepare.tsv hold an FNV-1a hash of each result; the source pixels come from SplitMix64, which the
test repeats. The small pictures beside them are decoded by the test and compared with NAME.rgb.png (lossless).
"""
import io
import os
import struct

import numpy as np
from PIL import Image, ImageOps

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "image")
FILTERS = [Image.BICUBIC, Image.BILINEAR, Image.LANCZOS, Image.BOX, Image.NEAREST]
MASK = (1 << 64) - 1


def noise(seed, width, height):
    """Byte i is the top byte of SplitMix64's output i; every third picture is pure black and white."""
    n = width * height * 3
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    b = (z >> np.uint64(56)).astype(np.uint8)
    if seed % 3 == 0:
        b = np.where(b < 128, 0, 255).astype(np.uint8)
    return b.reshape(height, width, 3)


def fnv(a):
    h = 0xCBF29CE484222325
    for b in a.tobytes():
        h = ((h ^ b) * 0x100000001B3) & MASK
    return f"{h:016x}"


def resizes():
    rng = np.random.default_rng(11)
    rows = []
    for i in range(160):
        w, h, nw, nh = (int(v) for v in rng.integers(1, 90, 4))
        if i % 16 == 0:
            nw = w
        if i % 16 == 1:
            nh = h
        if i % 16 == 2:
            h *= 6
        if i % 16 == 3:
            w *= 6
        box = (0.0, 0.0, float(w), float(h))
        if i % 4 == 1:
            x, y = sorted(rng.random(2) * w), sorted(rng.random(2) * h)
            if x[1] - x[0] > 0.01 and y[1] - y[0] > 0.01:
                box = (float(x[0]), float(y[0]), float(x[1]), float(y[1]))
        im = Image.fromarray(noise(i, w, h)).resize((nw, nh), FILTERS[i % 5], box)
        rows.append([i, w, h, nw, nh, i % 5, *(repr(v) for v in box), fnv(np.asarray(im))])
    write("resize.tsv", rows)


def prepares():
    from open_clip.transform import image_transform
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    rng = np.random.default_rng(12)
    rows = []
    for i in range(60):
        w, h = (int(v) for v in rng.integers(20, 300, 2))
        size = [33, 24, 64][i % 3]
        im = Image.fromarray(noise(i, w, h))
        for fit, mode in enumerate(["shortest", "squash", "longest"]):
            t = image_transform(size, False, resize_mode=mode, interpolation="bicubic", fill_color=7)
            out = im
            for step in t.transforms[:-2]:  # without ToTensor and Normalize
                out = step(out)
            rows.append([i, w, h, size, fit, 0, fnv(np.asarray(out))])
        hf = CLIPImageProcessorPil(size={"shortest_edge": size}, do_rescale=False, do_normalize=False,
                                   crop_size={"height": size, "width": size})
        out = np.asarray(hf(im, return_tensors="np")["pixel_values"][0]).transpose(1, 2, 0)
        rows.append([i, w, h, size, 0, 1, fnv(out.astype(np.uint8))])
    write("prepare.tsv", rows)


def write(name, rows):
    with open(os.path.join(OUT, name), "w") as f:
        for r in rows:
            f.write("\t".join(str(v) for v in r) + "\n")


def picture():
    """37 x 29: smooth ramps with some noise, so that JPEG has something to do."""
    y, x = np.mgrid[0:29, 0:37]
    a = np.stack([x * 6 + y, 255 - y * 7 + x // 2, (x * y) // 4], -1) + noise(5, 37, 29) // 8
    return Image.fromarray(a.clip(0, 255).astype(np.uint8))


def save(name, im, fmt, **args):
    b = io.BytesIO()
    im.save(b, fmt, **args)
    put(name, b.getvalue())


def put(name, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    im = Image.open(io.BytesIO(data))
    if im.mode == "I;16":  # Pillow's conversion clips; we keep the high byte
        grey = Image.fromarray((np.asarray(im) >> 8).astype(np.uint8))
        im = grey
    im = ImageOps.exif_transpose(im)
    im.convert("RGB").save(os.path.join(OUT, name + ".rgb.png"), optimize=True)


def exif_full():
    e = Image.Exif()
    e[0x010F], e[0x0110] = "NIKON CORPORATION", "NIKON D90"
    e[0x0112], e[0x0132] = 6, "2001:01:01 00:00:00"
    e.get_ifd(0x8769).update({0x9003: "2019:05:04 13:02:11", 0x9011: "+02:00", 0xA434: "50.0 mm f/1.8"})
    e.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 35.9), 3: "E", 4: (151.0, 12.0, 40.0), 5: b"\1", 6: 12.5})
    return e


def jpegs():
    im = picture()
    for sub in (0, 1, 2):
        save(f"sub{sub}.jpg", im, "JPEG", subsampling=sub, quality=85)
    save("progressive.jpg", im, "JPEG", progressive=True, quality=70)
    save("restarts.jpg", im, "JPEG", restart_marker_blocks=2)
    save("grey.jpg", im.convert("L"), "JPEG")
    save("rgb.jpg", im, "JPEG", keep_rgb=True)
    save("cmyk.jpg", im.convert("CMYK"), "JPEG", quality=90)
    b = io.BytesIO()
    im.convert("CMYK").save(b, "JPEG", quality=90)
    raw = bytearray(b.getvalue())
    raw[raw.index(b"Adobe") + 11] = 2  # the same bytes read as YCCK
    put("ycck.jpg", bytes(raw))
    for turn in range(1, 9):
        e = Image.Exif()
        e[0x0112] = turn
        save(f"turn{turn}.jpg", im.crop((0, 0, 20, 9)), "JPEG", exif=e, quality=90)
    save("exif.jpg", im, "JPEG", exif=exif_full())


def pngs():
    im = picture()
    a = np.asarray(im)
    alpha = im.copy()
    alpha.putalpha(Image.fromarray(noise(8, 37, 29)[..., 0]))
    save("rgb.png", im, "PNG")
    save("rgba.png", alpha, "PNG")
    save("la.png", alpha.convert("LA"), "PNG")
    save("bit1.png", im.convert("1"), "PNG")
    for bits, n in ((1, 2), (2, 4), (4, 13), (8, 100)):
        save(f"palette{bits}.png", im.quantize(n), "PNG", bits=bits)
    save("palette_trns.png", im.quantize(9), "PNG", transparency=3)
    save("trns.png", im, "PNG", transparency=(3, 4, 5))
    save("exif.png", im, "PNG", exif=exif_full())
    put("grey16.png", raw_png(37, 29, 16, 0, (a[..., 0].astype(">u2") * 200 + 77).tobytes()))
    put("rgb16.png", raw_png(37, 29, 16, 2, (a.astype(">u2") * 200 + 77).tobytes()))
    for bits in (2, 4):
        put(f"grey{bits}.png", raw_png(32, 10, bits, 0, noise(9, 32, 10).tobytes()[:32 * bits // 8 * 10]))
    # an index beyond the palette
    put("palette_short.png", raw_png(8, 4, 8, 3, bytes(range(32)), plte=bytes(range(60))))
    put("interlaced.png", interlaced(a))


def chunk(name, data):
    import zlib
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(w, h, bits, kind, rows, plte=None, interlace=0, filtered=False):
    import zlib
    if not filtered:
        n = len(rows) // h
        rows = b"".join(b"\0" + rows[i * n:(i + 1) * n] for i in range(h))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, interlace))
    return (b"\x89PNG\r\n\x1a\n" + head + (chunk(b"PLTE", plte) if plte else b"")
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def interlaced(a):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x, y, dx, dy in passes:
        part = a[y::dy, x::dx]
        for row in part:
            rows += b"\0" + row.tobytes()
    return raw_png(a.shape[1], a.shape[0], 8, 2, rows, interlace=1, filtered=True)


def webps():
    im = picture()
    alpha = im.copy()
    alpha.putalpha(Image.fromarray(noise(8, 37, 29)[..., 0]))
    save("lossy.webp", im, "WEBP", quality=80)
    save("lossless.webp", im, "WEBP", lossless=True)
    save("alpha.webp", alpha, "WEBP", quality=80)
    save("exact.webp", alpha, "WEBP", lossless=True, exact=True)
    save("animated.webp", im, "WEBP", save_all=True, append_images=[im.rotate(180)], duration=50)
    save("exif.webp", im, "WEBP", exif=exif_full())


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    resizes()
    prepares()
    jpegs()
    pngs()
    webps()
