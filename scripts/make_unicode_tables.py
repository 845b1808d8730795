#!/usr/bin/env python3
"""Writes clip/unicode_tables.c: where the tokenizers' references differ from utf8proc's data.

Each reference carries its own Unicode version (Python 3.11: 14, the regex module: 18, Oniguruma in
tokenizers: 16, Rust's standard library: 17, tokenizers' own category and normalisation crates: 9).
Every code point is put to each of them, and only the differences are stored.

    scripts/make_unicode_tables.py          # needs regex and tokenizers, and libutf8proc.so.2
"""
import ctypes
import os
import unicodedata

import regex
from tokenizers import Regex, normalizers, pre_tokenizers

utf8proc = ctypes.CDLL("libutf8proc.so.2")
utf8proc.utf8proc_category_string.restype = ctypes.c_char_p
utf8proc.utf8proc_get_property.restype = ctypes.POINTER(ctypes.c_uint16)
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CAT = {c: utf8proc.utf8proc_category_string(c).decode() for c in ALL}
OUT = os.path.join(os.path.dirname(__file__), "..", "clip", "unicode_tables.c")


def own_class(c):
    return {"L": 1, "N": 2}.get(CAT[c][0], 0)


def ranges(pairs):
    """(code point, value) in order -> [lo, hi, value]"""
    out = []
    for c, v in pairs:
        if out and out[-1][1] == c - 1 and out[-1][2] == v:
            out[-1][1] = c
        else:
            out.append([c, c, v])
    return out


def regex_classes():
    letter, number = regex.compile(r"[\p{L}]+", regex.I), regex.compile(r"[\p{N}]", regex.I)
    other = regex.compile(r"[^\s\p{L}\p{N}]+", regex.I)
    for c in ALL:
        s = chr(c)
        k = 1 if letter.match(s) else 2 if number.match(s) else 0
        if k == 0 and not other.match(s) and not regex.match(r"\s", s):
            k = 3  # matches nothing at all, so findall drops it
        if k != own_class(c):
            yield c, k


def split_probe(pattern):
    s = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    return {c for c in ALL if s.pre_tokenize_str(chr(c))}


def onig_classes():
    letter, number = split_probe(r"[\p{L}]+"), split_probe(r"[\p{N}]")
    for c in ALL:
        k = 1 if c in letter else 2 if c in number else 0
        if k != own_class(c):
            yield c, k


def bert_marks():
    strip = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    for c in ALL:
        k = strip.normalize_str(chr(c)) == ""
        if k != (CAT[c] == "Mn"):
            yield c, int(k)


def bert_punctuation():
    pre = pre_tokenizers.BertPreTokenizer()
    for c in ALL:
        k = [t for t, _ in pre.pre_tokenize_str("a" + chr(c) + "b")] == ["a", chr(c), "b"]
        ascii_punct = c < 128 and chr(c).isprintable() and not chr(c).isalnum() and c != 32
        if k != (CAT[c][0] == "P" or ascii_punct):
            yield c, int(k)


def bert_controls():
    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    for c in ALL:
        if c in (0, 9, 10, 13, 0xFFFD):
            continue
        k = clean.normalize_str("a" + chr(c) + "b") == "ab"
        if k != (CAT[c] in ("Cc", "Cf", "Co", "Cs")):
            yield c, int(k)


def rust_lower():
    lower = normalizers.Lowercase()
    for c in ALL:
        s = lower.normalize_str(chr(c))
        if len(s) == 1 and ord(s) != utf8proc.utf8proc_tolower(c):
            yield c, ord(s) - c


def barriers(nfd, nfc):
    """Code points that utf8proc reorders or composes and the reference leaves where they are."""
    out = set()
    for c in ALL:
        s = chr(c)
        if unicodedata.decomposition(s) and not unicodedata.decomposition(s).startswith("<"):
            d = unicodedata.normalize("NFD", s)
            whole = unicodedata.normalize("NFC", s)
            if len(d) == 2 and whole == s and nfc(d) != s:
                out.add(ord(d[1]))
            continue
        if 0xAC00 <= c < 0xD7A4:
            continue
        ccc = utf8proc.utf8proc_get_property(c)[1]
        if ccc == 0:
            continue
        # a mark of class 240 before it, or one of class 1 behind it, must move
        moved = nfd("a\u0345" + s) != "a\u0345" + s or nfd("a" + s + "\u0334") != "a" + s + "\u0334"
        if not moved:
            out.add(c)
    return [(c, 1) for c in sorted(out)]


def final(s):
    return (s + "\u03a3").lower().endswith("\u03c2")


def cased():
    for c in ALL:
        if final(chr(c)) != (CAT[c] in ("Lu", "Ll", "Lt")):
            yield c, int(final(chr(c)))


def ignorable():
    for c in ALL:
        k = final("A" + chr(c)) and not final(chr(c))
        if k != (CAT[c] in ("Mn", "Me", "Cf", "Lm", "Sk")):
            yield c, int(k)


def emit(f, name, comment, pairs):
    rows = ranges(pairs)
    f.write(f"\n/* {comment} */\nconst struct unicode_range unicode_{name}[] = {{\n")
    line = "   "
    for lo, hi, v in rows:
        item = f" {{0x{lo:X}, 0x{hi:X}, {v}}},"
        if len(line) + len(item) > 100:
            f.write(line + "\n")
            line = "   "
        line += item
    f.write(line + "\n};\n" if rows else "    {0, 0, 0}};\n")
    f.write(f"const size_t unicode_{name}_n = {len(rows)};\n")
    print(name, len(rows))


with open(OUT, "w", encoding="utf-8", newline="\n") as f:
    f.write("/* Where the tokenizers' references differ from utf8proc 2.8 (Unicode 15): ranges of code points\n"
            " * with the value that counts instead. Made by scripts/make_unicode_tables.py; do not edit. */\n"
            "#include \"clip/unicode_int.h\"\n\n/* clang-format off */\n")
    emit(f, "regex", "Python's regex module: 0 other, 1 letter, 2 number, 3 matched by nothing",
         regex_classes())
    emit(f, "onig", "Oniguruma in tokenizers: 0 other, 1 letter, 2 number", onig_classes())
    emit(f, "bert_mark", "BertNormalizer: is it a non-spacing mark?", bert_marks())
    emit(f, "bert_punct", "BertPreTokenizer: is it punctuation?", bert_punctuation())
    emit(f, "bert_control", "BertNormalizer: is it removed as a control?", bert_controls())
    emit(f, "rust_lower", "Rust's to_lowercase: what to add", rust_lower())
    emit(f, "python_barrier", "Python's NFC: starters that compose with nothing",
         barriers(lambda s: unicodedata.normalize("NFD", s), lambda s: unicodedata.normalize("NFC", s)))
    emit(f, "rust_barrier", "tokenizers' NFC and NFD: the same",
         barriers(normalizers.NFD().normalize_str, normalizers.NFC().normalize_str))
    emit(f, "cased", "Python's str.lower: is it cased (before a final sigma)?", cased())
    emit(f, "ignorable", "Python's str.lower: is it skipped before or behind a sigma?", ignorable())
    f.write("\n/* NFKC of U+FF5F..U+FFEE; 0: unchanged; U+FFE3 is two code points and done in text_clean.c */\n"
            "const uint16_t unicode_width[0xFFEF - 0xFF5F] = {\n")
    line = "   "
    for c in range(0xFF5F, 0xFFEF):
        k = unicodedata.normalize("NFKC", chr(c))
        item = f" 0x{ord(k):X}," if len(k) == 1 and k != chr(c) else " 0,"
        if len(line) + len(item) > 100:
            f.write(line + "\n")
            line = "   "
        line += item
        assert len(k) == 1 or c == 0xFFE3
    f.write(line + "\n};\n")
