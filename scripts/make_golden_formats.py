#!/usr/bin/env python3
"""Makes the files of the rarer formats in tests/golden/image, each with the pixels that Pillow sees (NAME.rgb.png).

    python3 scripts/make_golden_formats.py      # Pillow 13, tifffile, pillow-heif, imagecodecs; jpegtran

Colour profiles are converted to sRGB by Pillow's ImageCms (Little CMS). What Pillow cannot read, or reads to no
purpose, gets its pixels here. tests/golden/test_golden_image.c says how far each kind may differ.
"""
import io
import os
import struct

import numpy as np
from PIL import Image, ImageCms, ImageOps

from make_golden_image import OUT, chunk, exif_full, noise, picture, raw_png


def put(name, data, rgb=None):
    """rgb: the pixels where Pillow's own answer is not ours."""
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    if rgb is None:
        rgb = pillow_rgb(data)
    Image.fromarray(rgb).save(os.path.join(OUT, name + ".rgb.png"), optimize=True)


def pillow_rgb(data):
    im = Image.open(io.BytesIO(data))
    im.load()
    icc = im.info.get("icc_profile")
    im = ImageOps.exif_transpose(im)
    if icc:
        im = to_srgb(im, icc)
    return np.asarray(im.convert("RGB"))


def to_srgb(im, icc):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.profileToProfile(im, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")


def encode(im, fmt, **args):
    b = io.BytesIO()
    im.save(b, fmt, **args)
    return b.getvalue()


def gifs():
    im = picture()
    put("plain.gif", encode(im.quantize(200), "GIF"))
    put("two.gif", encode(im.quantize(2), "GIF"))
    put("animated.gif", encode(im.quantize(16), "GIF", save_all=True, append_images=[im.rotate(180).quantize(16)]))
    wide = Image.fromarray(noise(7, 130, 90)).quantize(255)  # fills the table of codes
    put("codes.gif", encode(wide, "GIF"))
    put("interlaced.gif", encode(im.quantize(50), "GIF", interlace=1))
    # a frame in the middle of its canvas, another that reaches beyond it; the transparent colour is 3
    for name, width, control in (("inside.gif", 40, b"\x21\xf9\x04\x01\0\0\x03\0"), ("beyond.gif", 10, b"")):
        small = encode(Image.fromarray((noise(4, 9, 7) // 64)[..., 0], "P"), "GIF")
        body = small[small.index(b"\x2c", 13):]
        head = b"GIF89a" + struct.pack("<HHBBB", width, 20, 0x81, 0, 0) + bytes(range(10, 130, 10))
        start = body.index(b"\x2c") + 10
        table = 3 << ((body[9] & 7) + 1) if body[9] & 0x80 else 0
        frame = b"\x2c" + struct.pack("<HHHHB", 5, 6, 9, 7, 0) + body[start + table:]
        put(name, head + control + frame)


def bmps():
    im = picture()
    put("rgb.bmp", encode(im, "BMP"))
    put("palette8.bmp", encode(im.quantize(77), "BMP"))
    put("bit1.bmp", encode(im.convert("1"), "BMP"))
    put("alpha.bmp", encode(im.convert("RGBA"), "BMP"))
    a = np.asarray(im).astype(np.uint32)

    def bmp(bits, packing, data, extra=b"", height=29, palette=b"", used=0):
        head = struct.pack("<IiiHHIIiiII", 40, 37, height, 1, bits, packing, len(data), 2835, 2835, used, 0)
        at = 14 + len(head) + len(extra) + len(palette)
        return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + head + extra + palette + data

    def rows(v, kind):
        return b"".join((r.astype(kind).tobytes() + b"\0\0\0")[:(r.size * np.dtype(kind).itemsize + 3) // 4 * 4] for r in v)

    v555 = (a[..., 0] >> 3) << 10 | (a[..., 1] >> 3) << 5 | a[..., 2] >> 3
    v565 = (a[..., 0] >> 3) << 11 | (a[..., 1] >> 2) << 5 | a[..., 2] >> 3
    put("rgb555.bmp", bmp(16, 0, rows(v555[::-1], "<u2")))
    put("rgb565.bmp", bmp(16, 3, rows(v565[::-1], "<u2"), struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
    put("down.bmp", bmp(32, 0, rows(a[..., 0] << 16 | a[..., 1] << 8 | a[..., 2], "<u4"), height=-29))
    # four bits, in rows of 37: the last byte of a row is half used
    four = a[..., 0] >> 4
    packed = np.zeros((29, 20), np.uint8)
    packed[:, :18] = four[:, 0:36:2] << 4 | four[:, 1:36:2]
    packed[:, 18] = four[:, 36] << 4
    ramp = b"".join(bytes([i * 17, 255 - i * 17, i * 9, 0]) for i in range(16))
    put("palette4.bmp", bmp(4, 0, packed[::-1].tobytes(), palette=ramp))
    put("rle8.bmp", bmp(8, 1, rle(a[..., 1] >> 4, False), palette=ramp, used=16))
    put("rle4.bmp", bmp(4, 2, rle(a[..., 1] >> 4, True), palette=ramp))
    os2 = b"BM" + struct.pack("<IHHI", 26 + 12 * 4, 0, 0, 26) + struct.pack("<IHHHH", 12, 3, 4, 1, 24)
    put("os2.bmp", os2 + b"".join(noise(3, 3, 1).tobytes() + b"\0\0\0" for _ in range(4)))


def rle(v, half):
    """Runs for the left half of each row, literals for the rest, so that both are read."""
    out = b""
    for row in v[::-1]:
        left, right = row[:20], row[20:].tolist()
        i = 0
        while i < 20:
            n = 1
            while i + n < 20 and left[i + n] == left[i]:
                n += 1
            out += bytes([n, int(left[i]) * (17 if half else 1)])
            i += n
        if half:
            data = bytes(right[k] << 4 | (right[k + 1] if k + 1 < len(right) else 0) for k in range(0, len(right), 2))
        else:
            data = bytes(right)
        out += bytes([0, len(right)]) + data + b"\0" * (len(data) & 1) + b"\0\0"
    return out + b"\0\1"


def pnms():
    im = picture()
    a = np.asarray(im)
    put("rgb.ppm", encode(im, "PPM"))
    put("grey.pgm", encode(im.convert("L"), "PPM"))
    put("bits.pbm", encode(im.convert("1"), "PPM"))
    head = b"%d %d # a comment\n"
    put("plain.ppm", b"P3\n#c\n37 29\n255\n" + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in a))
    put("plain.pgm", b"P2 37 29 99\n" + b"\n".join(b" ".join(b"%d" % (v // 3) for v in row) for row in a[..., 0]))
    bits = a[..., 0] > 127
    put("plain.pbm", b"P1\n37 29\n" + b"\n".join(b"".join(b"%d" % v for v in row) for row in bits))
    deep = (a.astype(np.uint16) * 200 + 77).astype(">u2")
    put("deep.ppm", b"P6\n37 29\n65535\n" + deep.tobytes())
    want = np.repeat(((deep[..., :1].astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8), 3, -1)
    put("deep.pgm", b"P5\n37 29\n65535\n" + deep[..., 0].tobytes(), want)
    alpha = np.concatenate([a, noise(8, 37, 29)[..., :1]], -1)
    put("alpha.pam", b"P7\nWIDTH 37\nHEIGHT 29\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + alpha.tobytes(), a)


def tiffs():
    import tifffile

    im = picture()
    a = np.asarray(im)

    def tif(data, rgb=None, **args):
        b = io.BytesIO()
        tifffile.imwrite(b, data, metadata=None, software=False, **args)
        return b.getvalue()

    put("rgb.tif", tif(a, photometric="rgb"))
    put("deflate.tif", tif(a, photometric="rgb", compression="zlib", predictor=True, rowsperstrip=5))
    put("lzw.tif", encode(im, "TIFF", compression="tiff_lzw"))
    put("jpeg.tif", encode(im, "TIFF", compression="jpeg", quality=90))
    put("fax.tif", encode(im.convert("1"), "TIFF", compression="group4"))
    put("palette.tif", encode(im.quantize(60), "TIFF"))
    deep = a.astype(np.uint16) * 200 + 77
    high = (deep >> 8).astype(np.uint8)
    put("rgb16.tif", tif(deep, photometric="rgb", byteorder=">"), high)
    put("grey16.tif", tif(deep[..., 0], photometric="minisblack"), np.repeat(high[..., :1], 3, -1))
    put("white.tif", tif(a[..., 0], photometric="miniswhite"), 255 - np.repeat(a[..., :1], 3, -1))
    put("tiled.tif", tif(a, photometric="rgb", tile=(16, 32), compression="zlib"))
    put("planes.tif", tif(a.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), a)
    put("planes_tiled16.tif", tif(deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", tile=(16, 16)), high)
    alpha = np.concatenate([a, noise(8, 37, 29)[..., :1]], -1)
    put("alpha.tif", tif(alpha, photometric="rgb", extrasamples=["unassalpha"]), a)
    put("big.tif", tif(a, photometric="rgb", bigtiff=True))
    put("cmyk.tif", encode(im.convert("CMYK"), "TIFF"))
    cmyk = np.asarray(im.convert("CMYK"))
    put("cmyk16.tif", tif(cmyk.astype(np.uint16) * 256, photometric="separated"), pillow_rgb(encode(im.convert("CMYK"), "TIFF")))
    put("ycc.tif", encode(im.convert("YCbCr"), "TIFF"))  # by libtiff's own conversion
    put("pages.tif", encode(im, "TIFF", save_all=True, append_images=[im.rotate(180)]))
    put("bits2.tif", tiff_by_hand(32, 10, 2, noise(9, 32, 10).tobytes()[:80]), bits2(noise(9, 32, 10).tobytes()[:80]))
    data = tiff_file(rgb_directory(a) + exif_entries(), ">")
    put("exif.tif", data, np.asarray(im.transpose(Image.ROTATE_270)))


def bits2(data):
    v = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(10, 32, 2)
    return np.repeat(((v[..., 0] * 2 + v[..., 1]) * 85)[..., None], 3, -1).astype(np.uint8)


def tiff_by_hand(w, h, bits, data):
    """Grey, one strip."""
    return tiff_file([(256, 3, [w]), (257, 3, [h]), (258, 3, [bits]), (259, 3, [1]), (262, 3, [1]), (273, 4, data),
                      (277, 3, [1]), (278, 3, [h]), (279, 4, [len(data)])])


def rgb_directory(a):
    h, w = a.shape[:2]
    return [(256, 3, [w]), (257, 3, [h]), (258, 3, [8, 8, 8]), (259, 3, [1]), (262, 3, [2]), (273, 4, a.tobytes()),
            (277, 3, [3]), (278, 3, [h]), (279, 4, [a.size])]


def exif_entries():
    """What exif_full() says, as entries of the main directory with its two others."""
    def ratios(*v):
        return [x for f in v for x in (round(f * 10), 10)]
    exif = [(0x9003, 2, b"2019:05:04 13:02:11\0"), (0x9011, 2, b"+02:00\0"), (0xA434, 2, b"50.0 mm f/1.8\0")]
    gps = [(1, 2, b"S\0"), (2, 5, ratios(33, 51, 35.9)), (3, 2, b"E\0"), (4, 5, ratios(151, 12, 40)), (5, 1, [1]),
           (6, 5, ratios(12.5))]
    return [(0x10F, 2, b"NIKON CORPORATION\0"), (0x110, 2, b"NIKON D90\0"), (0x112, 3, [6]),
            (0x132, 2, b"2001:01:01 00:00:00\0"), (0x8769, 4, [exif]), (0x8825, 4, [gps])]


def tiff_file(directory, order="<"):
    """Entries are (tag, type, values): numbers, text, bytes that an offset points to, or more directories. The main
    directory comes last, as most writers have it."""
    out = bytearray(b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0")
    sizes = {1: "B", 3: "H", 4: "I", 5: "I", 10: "i"}

    def add(data):
        at = len(out)
        out.extend(data + b"\0" * (len(data) & 1))
        return at

    def write(entries):
        body = b""
        for tag, kind, values in sorted(entries):
            if isinstance(values, bytes) and kind == 4:
                values = [add(values)]
            elif kind == 4 and isinstance(values[0], list):
                values = [write(v) for v in values]
            data = values if isinstance(values, bytes) else struct.pack(order + sizes[kind] * len(values), *values)
            count = len(values) // 2 if kind in (5, 10) else len(values)
            value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", add(data))
            body += struct.pack(order + "HHI", tag, kind, count) + value
        return add(struct.pack(order + "H", len(entries)) + body + b"\0\0\0\0")

    at = write(directory)
    out[4:8] = struct.pack(order + "I", at)
    return bytes(out)


def apng():
    """Two frames, the first of them the still picture."""
    a = np.asarray(picture())
    still = raw_png(37, 29, 8, 2, a.tobytes())
    end = still.index(b"IDAT") - 4
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 37, 29, 0, 0, 1, 10, 0, 0))
    second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 37, 29, 0, 0, 1, 10, 0, 0))
    data = raw_png(37, 29, 8, 2, (255 - a).tobytes())
    idat = data.index(b"IDAT")
    size = struct.unpack(">I", data[idat - 4:idat])[0]
    second += chunk(b"fdAT", struct.pack(">I", 2) + data[idat + 4:idat + 4 + size])
    tail = still.index(b"IEND") - 4
    put("animated.png", still[:end] + control + still[end:tail] + second + still[tail:])


def profiles():
    """The primaries of Display P3 with a gamma of 1.8, a grey of gamma 1.4, four inks, and sRGB."""
    from imagecodecs import cms_profile

    p3 = cms_profile("rgb", whitepoint=[0.3127, 0.329, 1.0], gamma=1.8,
                     primaries=[0.68, 0.32, 1.0, 0.265, 0.69, 1.0, 0.15, 0.06, 1.0])
    grey = cms_profile("gray", whitepoint=[0.3127, 0.329, 1.0], gamma=1.4)
    return p3, grey, ink_profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def ink_profile():
    """An output profile with a table of 2 x 2 x 2 x 2 colours in CIE L*a*b* and nothing else (ICC.1, 10.9)."""
    def text(name, kind, data):
        return name, kind + b"\0\0\0\0" + data
    table = b""
    for i in range(16):
        c, m, y, k = i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1
        light = 100 - 40 * c - 45 * m - 10 * y
        light = light * (0.15 if k else 1.0)
        a, b = (-35 * c + 70 * m - 5 * y) * (1 - k), (-45 * c + 2 * m + 85 * y) * (1 - k)
        table += bytes([round(max(light, 3) * 2.55), round(a) + 128, round(b) + 128])
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *[65536 * (i % 4 == 0) for i in range(9)])
    a2b = struct.pack(">4sIBBBB", b"mft1", 0, 4, 3, 2, 0) + matrix + ramp * 4 + table + ramp * 3
    tags = [text(b"desc", b"desc", struct.pack(">I", 5) + b"inks\0" + b"\0" * 78), text(b"cprt", b"text", b"none\0"),
            (b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)), (b"A2B0", a2b)]
    at, body, table = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def iccs():
    im = picture()
    p3, grey, inks, srgb = profiles()
    put("icc_p3.jpg", encode(im, "JPEG", quality=95, subsampling=0, icc_profile=p3))
    put("icc_p3.png", encode(im, "PNG", icc_profile=p3))
    put("icc_p3.webp", encode(im, "WEBP", lossless=True, icc_profile=p3))
    put("icc_p3.tif", encode(im, "TIFF", icc_profile=p3))
    put("icc_grey.jpg", encode(im.convert("L"), "JPEG", quality=95, icc_profile=grey))
    put("icc_grey.png", encode(im.convert("L"), "PNG", icc_profile=grey))
    put("icc_inks.tif", encode(im.convert("CMYK"), "TIFF", icc_profile=inks))
    put("icc_inks.jpg", encode(im.convert("CMYK"), "JPEG", quality=95, icc_profile=inks))
    put("icc_srgb.png", encode(im, "PNG", icc_profile=srgb), np.asarray(im))  # left alone
    put("icc_broken.png", encode(im, "PNG", icc_profile=p3[:200] + b"\xff" * 40 + p3[240:]), np.asarray(im))


def heifs():
    """HEIC and AVIF: in 4:4:4, since libraries differ in how they stretch colour that was subsampled."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    im = Image.fromarray(np.asarray(picture().resize((74, 58), Image.BICUBIC)))
    p3 = profiles()[0]
    put("full.heic", encode(im, "HEIF", quality=90, chroma=444))
    put("sub.heic", encode(im, "HEIF", quality=90))
    put("exif.heic", encode(picture(), "HEIF", quality=90, chroma=444, exif=exif_full().tobytes()))
    put("icc_p3.heic", encode(im, "HEIF", quality=90, chroma=444, icc_profile=p3))
    put("grey.heic", encode(im.convert("L"), "HEIF", quality=90))
    put("alpha.heic", encode(im.convert("RGBA"), "HEIF", quality=90, chroma=444))
    put("deep.heic", deep_heic(im))
    put("grid.heic", grid_heic(100, 90))
    put("full.avif", encode(im, "AVIF", quality=90, subsampling="4:4:4"))
    put("sub.avif", encode(im, "AVIF", quality=90))
    put("animated.avif", encode(im, "AVIF", quality=90, subsampling="4:4:4", save_all=True, append_images=[im.rotate(180)]))
    put("exif.avif", encode(picture(), "AVIF", quality=90, subsampling="4:4:4", exif=exif_full()))


def grid_heic(w, h, side=64):
    """Four tiles, as telephones write them, cut to w x h (ISO/IEC 23008-12, 6.6.2.3); turned by 90 degrees."""
    def box(name, data):
        return struct.pack(">I", 8 + len(data)) + name + data

    def full(name, data, version=0, flags=0):
        return box(name, struct.pack(">I", version << 24 | flags) + data)

    whole = picture().resize((2 * side, 2 * side), Image.BICUBIC)
    tiles, config = [], b""
    for i in range(4):
        x, y = i % 2 * side, i // 2 * side
        one = encode(whole.crop((x, y, x + side, y + side)), "HEIF", quality=80, chroma=444)
        at = one.index(b"hvcC") - 4
        config = one[at:at + struct.unpack(">I", one[at:at + 4])[0]]
        tiles.append(one[one.index(b"mdat") + 4:])
    infos = b"".join(full(b"infe", struct.pack(">HH", i, 0) + (b"hvc1" if i < 5 else b"grid") + b"\0", 2) for i in range(1, 6))
    sizes = [full(b"ispe", struct.pack(">II", side, side)), full(b"ispe", struct.pack(">II", w, h))]
    props = box(b"ipco", config + b"".join(sizes) + box(b"irot", b"\1"))
    uses = b"".join(struct.pack(">HBBB", i, 2, 0x81, 2) for i in range(1, 5)) + struct.pack(">HBBB", 5, 2, 3, 0x84)
    ftyp = box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(start):
        places, at = b"", start
        for i, t in enumerate(tiles):
            places += struct.pack(">HHHHII", i + 1, 0, 0, 1, at, len(t))
            at += len(t)
        places += struct.pack(">HHHHII", 5, 1, 0, 1, 0, 8)
        return full(b"meta", full(b"hdlr", b"\0\0\0\0pict" + bytes(13)) + full(b"pitm", struct.pack(">H", 5))
                    + full(b"iloc", struct.pack(">BBH", 0x44, 0, 5) + places, 1)
                    + full(b"iinf", struct.pack(">H", 5) + infos)
                    + full(b"iref", box(b"dimg", struct.pack(">HHHHHH", 5, 4, 1, 2, 3, 4)))
                    + box(b"iprp", props + full(b"ipma", struct.pack(">I", 5) + uses))
                    + box(b"idat", struct.pack(">BBBBHH", 0, 0, 1, 1, w, h)))

    start = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + box(b"mdat", b"".join(tiles))


def deep_heic(im):
    """10 bits a sample."""
    import pillow_heif

    deep = np.asarray(im).astype(np.uint16) * 257
    h, w = deep.shape[:2]
    b = io.BytesIO()
    pillow_heif.encode("RGB;16", (w, h), deep.tobytes(), b, quality=90, chroma=444, save_to_12bit=False)
    return b.getvalue()


def jxls():
    import imagecodecs

    a = np.asarray(picture())

    def lossy(data, **args):
        out = imagecodecs.jpegxl_encode(data, **args)
        return out, imagecodecs.jpegxl_decode(out)

    put("lossless.jxl", imagecodecs.jpegxl_encode(a, lossless=True), a)
    put("lossy.jxl", *lossy(a, distance=1.0))
    grey = a[..., 0]
    put("grey.jxl", imagecodecs.jpegxl_encode(grey, lossless=True), np.repeat(grey[..., None], 3, -1))
    alpha = np.concatenate([a, noise(8, 37, 29)[..., :1]], -1)
    put("alpha.jxl", imagecodecs.jpegxl_encode(alpha, lossless=True), a)
    deep = a.astype(np.uint16) * 257
    linear = np.arange(256) / 255  # what imagecodecs says of 16-bit samples
    curve = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    put("deep.jxl", imagecodecs.jpegxl_encode(deep, lossless=True), np.rint(curve * 255).astype(np.uint8)[a])
    moving = imagecodecs.jpegxl_encode(np.stack([a, 255 - a]), lossless=True)
    put("animated.jxl", moving, a)
    # a container by hand: EXIF says "turn", the codestream does not, and its word counts
    exif = exif_full().tobytes()[6:]

    def box(name, data):
        return struct.pack(">I", 8 + len(data)) + name + data
    stream = imagecodecs.jpegxl_encode(a, lossless=True, usecontainer=False)
    put("exif.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ") +
        box(b"Exif", b"\0\0\0\0" + exif) + box(b"jxlc", stream), a)


def jp2s():
    im = picture()
    put("lossless.jp2", encode(im, "JPEG2000", irreversible=False))
    put("lossy.jp2", encode(im, "JPEG2000", irreversible=True, quality_layers=[4]))
    put("stream.j2k", encode(im, "JPEG2000", no_jp2=True))
    put("grey.jp2", encode(im.convert("L"), "JPEG2000"))
    put("alpha.jp2", encode(im.convert("RGBA"), "JPEG2000"))
    put("tiles.jp2", encode(im, "JPEG2000", tile_size=(16, 16)))
    exif = b"JpgTiffExif->JP2" + exif_full().tobytes()[6:]
    turned = encode(im, "JPEG2000") + struct.pack(">I", 8 + len(exif)) + b"uuid" + exif
    put("exif.jp2", turned, np.asarray(im.transpose(Image.ROTATE_270)))


def jpegs():
    """Arithmetic coding, sequential and progressive: jpegtran changes the coding and no coefficient."""
    import subprocess

    huffman = encode(picture(), "JPEG", quality=85)
    for name, options in (("arithmetic.jpg", []), ("arithmetic_progressive.jpg", ["-progressive"])):
        made = subprocess.run(["jpegtran", "-arithmetic", *options], input=huffman, stdout=subprocess.PIPE, check=True)
        put(name, made.stdout, pillow_rgb(huffman))


def raws():
    """A DNG of 64 x 48 with a JPEG preview; turned by EXIF. The preview has the pixels that must come out."""
    im = picture()
    preview = encode(im, "JPEG", quality=92, subsampling=0)
    sensor = (noise(2, 64, 48)[..., 0].astype("<u2") << 4).tobytes()
    raw = [(254, 4, [0]), (256, 4, [64]), (257, 4, [48]), (258, 3, [16]), (259, 3, [1]), (262, 3, [32803]),
           (273, 4, sensor), (277, 3, [1]), (278, 4, [48]), (279, 4, [len(sensor)]), (33421, 3, [2, 2]),
           (33422, 1, [0, 1, 1, 2]), (50717, 3, [4095])]
    main = [(254, 4, [1]), (256, 4, [37]), (257, 4, [29]), (258, 3, [8, 8, 8]), (259, 3, [7]), (262, 3, [6]),
            (273, 4, preview), (277, 3, [3]), (278, 4, [29]), (279, 4, [len(preview)]), (330, 4, [raw]),
            (50706, 1, [1, 4, 0, 0]), (50708, 2, b"NIKON D90\0"),
            (50721, 10, [x for i in range(9) for x in (i % 4 == 0, 1)])]
    data = tiff_file(main + exif_entries())
    rgb = np.asarray(Image.open(io.BytesIO(preview)).convert("RGB").transpose(Image.ROTATE_270))
    put("exif.dng", data, rgb)

    def box(name, data):
        return struct.pack(">I", 8 + len(data)) + name + data
    # The outlines of a CR3 and a RAF: where the directory and the preview lie, and noise for the sensor.
    cmt = tiff_file([(0x10F, 2, b"Canon\0"), (0x110, 2, b"Canon EOS R5\0"), (0x112, 3, [6]), (0x132, 2, b"2021:05:04 13:02:11\0")])
    movie = box(b"moov", box(b"uuid", bytes(16) + box(b"CNCV", b"CanonCR3") + box(b"CMT1", cmt)))
    put("canon.cr3", box(b"ftyp", b"crx \0\0\0\1crx isom") + movie + box(b"mdat", preview + noise(3, 20, 20).tobytes()), rgb)
    own = encode(im, "JPEG", quality=92, subsampling=0, exif=exif_full())
    put("fuji.raf", b"FUJIFILMCCD-RAW 0201" + bytes(128) + own + noise(3, 20, 20).tobytes(), rgb)


if __name__ == "__main__":
    jpegs()
    raws()
    heifs()
    jxls()
    jp2s()
    iccs()
    gifs()
    bmps()
    pnms()
    tiffs()
    apng()
