#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: 10,000 lines and what three reference tokenizers make of them.

    scripts/make_golden_tokenizer.py [OUT]      # default tests/golden/tokenizer

References: transformers' CLIPTokenizer and BertTokenizer, and open_clip's SimpleTokenizer with
ftfy's mojibake repair switched off (everything else of fix_text stays on). How many lines the
repair would change is printed. Needs transformers, open_clip_torch and ftfy, and third_party/.

corpus.bin   a line: LEB128 length of the unit, LEB128 count, the unit's bytes; the line is the
             unit, count times (so that a line of 100 kB takes few bytes here)
hashes.bin   for each line three FNV-1a 64 hashes (little-endian u64) of its ids as little-endian
             i32: CLIP as transformers, CLIP as open_clip, WordPiece
sample.txt   every 50th line: number, kind, ids
folder_*/    configuration files of one folder layout, and expected.txt: text as JSON, TAB, ids
"""
import json
import os
import random
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
LINES = 10000

WORDS = """a photo of the dog cat running on beach sunset over mountains red car blue sky woman man
child playing football in park old city street at night two people riding bicycles snow covered
trees black-and-white portrait close-up macro flower bee kitchen table with plate fruit 35mm f/1.8
bokeh Hasselblad IMG_20240131_1203.jpg Paris London Tokyo wedding birthday cake grandma's birthday
don't won't it's I'm they're we've she'd he'll DON'T IT'S I'M THEY'RE WE'VE SHE'D HE'LL rock'n'roll
's 't 're 've 'm 'll 'd 'S 'T 'RE O'Reilly's 1980's ''s ''' '' supercalifragilisticexpialidocious
antidisestablishmentarianism e-mail http://example.org/a?b=c&d=e C++ C# .NET node.js 3.14159 1,000
1/2 100% $5.99 #hashtag @user snake_case __init__ _ __ foo_bar_baz CamelCase ALLCAPS iPhone""".split()
SCRIPTS = """naïve café résumé Ångström Zürich crème brûlée piñata œuvre Straße GROẞE ſtraße
Île-de-France İstanbul ISPARTA ıssız DİYARBAKIR Đà_Nẵng Tiếng_Việt phở Łódź źdźbło žluťoučký kůň
Ελλάδα ΟΔΟΣ ΣΑΣ Σ ΑΣ. ΑΣ' ΑΣ'Α ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ ᾳ ᾼ Москва СОБАКА щука їжак Ђурђевак Ѣ Армения հայ
ԵՒ և Թბილისი თბილისი ᲗᲑᲘᲚᲘᲡᲘ Ꭰ ꭰ שלום עִבְרִית שַׁבָּת מרחבא قطة القِطَّةُ السَّمَاء ـــ لا ﻻ ﷺ ۱۲۳ ١٢٣ پنیر
ہندوستان हिन्दी क्षत्रिय कुत्ता १२३ বাংলা বিড়াল ਪੰਜਾਬੀ ગુજરાતી ଓଡ଼ିଆ தமிழ் పిల్లి ಕನ್ನಡ മലയാളം
සිංහල ภาษาไทย แมวสีดำ ๑๒๓ ພາສາລາວ မြန်မာ ភាសាខ្មែរ བོད་སྐད ᠮᠣᠩᠭᠣᠯ አማርኛ ⴰⵎⴰⵣⵉⵖ 猫が好き 日本語 東京タワー
カタカナ ｶﾀｶﾅ ﾊﾟﾋﾟ ひらがな が か゚ 中文 简体字 繁體字 㐀㐁 𠀀𠀁 𪜀 豈更 﨎 丽 〇 々 한국어 고양이 한글 ㄱㄴ ﾡﾢ 각 가
① ⑳ Ⅷ ⅷ ½ ¾ ² ₃ ㊿ 𝟘𝟙 𝔘𝔫𝔦 𝐀𝐛 𝓗 ℌ ℕ Ω Å K µ ª º ﬁ ﬂ ﬀ ﬃ ﬄ ﬅ ﬆ Ĳ ĳ ŉ Ǆ ǅ ǆ ǈ ǌ ǲ Ｆｕｌｌ Ｗｉｄｔｈ １２３ ＡＢＣ！ ￠ ￣ ￥ ￦ ｟ ｠
→ ∑ √ ∞ ≠ ≥ ½ € £ ¥ ₿ © ® ™ § ¶ † ‡ • … – — ‐ ‑ ― ‖ ′ ″ ‹› «» „“ ‚‘ “quoted” ‘single’ ‛x‟ don’t rock‘n’roll
☃ ☂ ✓ ✔ ★ ♥ ♫ ⌘ ⏰ ♂ ♀ ⚧ 🇺 ㍿ ㎏ ⓐⒶ 🄰 🅰 🆎 ︙ ﹏ ﹣ ⁇ ⁉ ｡｢｣､･""".split()
EMOJI = """😀 😂 🤣 ❤ ❤️ ❤︎ 👍 👍🏻 👍🏿 👩‍👩‍👧‍👦 👨🏽‍🚀 🏳️‍🌈 🏴‍☠️ 🇺🇸 🇩🇪🇫🇷 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ #️⃣ *️⃣ ☺️ ☹ ✌🏾 🧑‍🤝‍🧑 👁️‍🗨️ 🐈‍⬛ 🐕‍🦺
🎉 🔥 💯 🚀 🌈 🍕 ☀️ ⛄ 🤦🏼‍♂️ 🧜‍♀️ 👨‍❤️‍💋‍👨 🅿️ ㊗️ 🫠 🫶🏿 🪿 🫨 🀄 🃏""".split()
SPACES = [" ", "  ", "\t", "\r", "\f", "\v", "\r\n", "\n", "\n\n", "\x1c", "\x1d", "\x1e", "\x1f", "\x85",
          "\xa0", "\u1680", "\u180e", "\u2000", "\u2003", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029",
          "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff", "\n \t"]
CONTROLS = ["\x00", "\x01", "\x07", "\x08", "\x0e", "\x1a", "\x1b", "\x7f", "\x80", "\x81", "\x82", "\x8d",
            "\x91", "\x92", "\x93", "\x94", "\x99", "\x9d", "\x9f", "\xad", "\u061c", "\u200c", "\u200d",
            "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\u206a", "\u206f", "\ufeff",
            "\ufff9", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff", "\U000e0001", "\U000e0020",
            "\U000e007f", "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd", "\U0001d173", "\ufe0e", "\ufe0f",
            "\x1b[0m", "\x1b[1;31m", "\x1b[38;5;196m", "\x1b[2J", "\x1b[", "\x1b[1", "\x1b]0;t\x07",
            "\x1b[\u0661m", "\x1b[1;;2K", "\x1b[?25h", "\x1b\x1b[0m[0m", "\x1b[é"]
MARKS = ["\u0300", "\u0301", "\u0303", "\u0308", "\u030a", "\u0316", "\u0323", "\u0327", "\u0328", "\u0331",
         "\u0334", "\u0338", "\u0340", "\u0341", "\u0343", "\u0344", "\u0345", "\u035c", "\u0360", "\u0489",
         "\u05b0", "\u05bc", "\u064b", "\u0651", "\u0670", "\u093c", "\u094d", "\u0e31", "\u0e49", "\u302a",
         "\u3099", "\u309a", "\u20dd", "\u20e3", "\ufe20", "\U0001d165", "\u0f71", "\u0f72", "\u0f74", "\u0f80",
         "\u1715", "\u0898", "\u1abf", "\u0c3c", "\U00010efd", "\U00011f42", "\u1df6", "\u0307"]
ENTITIES = """&amp; &AMP; &amp &lt; &gt; &lt &gt &LT; &quot; &QUOT &apos; &nbsp; &nbsp &copy; &copy &COPY; &reg &eacute;
&eacute &Eacute; &EACUTE; &EACUTE &ntilde; &NTILDE; &nTILDE; &szlig; &SZLIG; &hellip; &HELLIP; &mdash; &ndash; &rsquo; &ldquo;
&rdquo; &notit; &not &notin; &notin &unknown; &; & && &&amp; &amp;amp; &amp;amp;amp; &amp;lt; &amp;lt;b&amp;gt; &amp;#39; &#39;
&#39 &#x27; &#X27; &#x27 &#x41; &#65; &#65 &#065; &#0; &#00; &#x0; &#1; &#8; &#9; &#10; &#11; &#12; &#13; &#27;[0m &#31; &#32; &#59;
&#38; &#38;amp; &#x26;lt; &#127; &#128; &#129; &#x80; &#x91; &#x92; &#x99; &#150; &#151; &#159; &#160; &#173; &#xAD; &#x2028; &#x200b;
&#xFEFF; &#xFFFD; &#xFFFE; &#xFFFF; &#xFDD0; &#x1FFFF; &#x1F600; &#128512; &#xD800; &#xDFFF; &#xD83D;&#xDE00; &#x10FFFF; &#x110000;
&#x7FFFFFFF; &#4294967296; &#99999999999999999999; &#999999999999999999999999999; &#x0000000000000000000041; &#-1; &# &#; &#x; &#xg;
&#12ab; &#xZZ; &#301;e e&#769; a&#x308; &fjlig; &FJLIG; &NotEqualTilde; &CounterClockwiseContourIntegral; &bne; &nvlt; &nGt; &acE; &race;
&thickapprox; &ThickSpace; &NewLine; &Tab; &lsquo;x&rsquo; &ZeroWidthSpace; &InvisibleTimes; &Dagger; &DAGGER; &yen &euro; &EURO;
&frac12; &frac12 &FRAC12; &sup2 &SUP2; &times; &timesbar; &para;m &para &sect &middot &ampere &amp= &ampx &lang; &gt;&lt; &semi;
&lpar;c&rpar; &#x3c;b&#x3e; &ﬁ; &é; &amp\u00e9; &am\u0070; &ＡＭＰ; &ａｍｐ； &#６５; &ＡＭＰ； a&amp;b R&D AT&T &T; &Jscr; &HilbertSpace; &checkmark; &zwj;
&ijlig; &IJLIG; &filig; &fflig; &ffilig; &iota; &IOTA; &sigmaf; &SIGMAF; &jmath; &imath; &IMATH; &ell; &ELL;""".split()
SPECIAL = """<|startoftext|> <|endoftext|> <|STARTOFTEXT|> <|EndOfText|> <|startoftext <|endoftext|>! !<|endoftext|> !!<|ENDOFTEXT|>!!
<start_of_text> <end_of_text> <START_OF_TEXT> <ſtart_of_text> <end_of_text <|start<|endoftext|> &lt;|endoftext|&gt; &lt;start_of_text&gt;
&amp;lt;end_of_text&amp;gt; [CLS] [SEP] [MASK] [PAD] [UNK] [cls] [unused1] [UNUSED1] ##ing ## #ing </w> a</w> <w> <b>bold</b> <br/> <3 >.< x<y
＜|endoftext|＞ <|endofteхt|> [CLS][SEP] x[MASK]y Ġdog Â Ã â€™ â€œ Ã© Ã\u00a0 schÃ¶n âœ” ï»¿ Ð¡Ð¾Ð±Ð°ÐºÐ° ã\u0081\u0082 ŠÃ""".split()
RAW = [b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xb0\x80", b"\xff", b"\xfe\xff", b"\x80", b"\xc0\x80", b"\xc3",
       b"\xe2\x82", b"\xe2", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf0", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xc1\xbf",
       b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xc3\x28", b"\xe2\x28\xa1",
       b"\xe2\x82\x28", b"\xf0\x28\x8c\xbc", b"caf\xe9", b"\x93hi\x94", b"\xef\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80"]


def any_char(r):
    while True:
        k = r.randrange(10)
        c = (r.randrange(0x20, 0x300) if k < 2 else r.randrange(0x300, 0x3000) if k < 5 else
             r.randrange(0x3000, 0x10000) if k < 7 else r.randrange(0x10000, 0x20000) if k < 9 else
             r.randrange(0x20000, 0x110000))
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def change_case(r, s):
    return r.choice([str, str, str, str.upper, str.lower, str.title, str.swapcase])(s)


def fragment(r):
    k = r.randrange(100)
    if k < 22:
        return change_case(r, " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 5))))
    if k < 38:
        return change_case(r, r.choice(SCRIPTS).replace("_", " "))
    if k < 45:
        return "".join(r.choice(EMOJI) for _ in range(r.randrange(1, 3)))
    if k < 58:
        return r.choice(ENTITIES)
    if k < 64:
        return r.choice(SPECIAL)
    if k < 71:
        return r.choice(CONTROLS)
    if k < 78:
        return r.choice("aeiouAEIOUnNcCsSyzZ=<>бИ가かΑωا1 ") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 4)))
    if k < 88:
        return "".join(any_char(r) for _ in range(r.randrange(1, 4)))
    if k < 93:
        import unicodedata
        return unicodedata.normalize(r.choice(["NFC", "NFD", "NFKC", "NFKD"]), r.choice(SCRIPTS).replace("_", " "))
    if k < 97:
        return "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~0123456789'\u2019") for _ in range(r.randrange(1, 7)))
    return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randrange(1, 30)))


def mixed_line(r):
    parts = []
    for _ in range(r.choice([1, 1, 2, 2, 3, 3, 4, 5])):
        parts.append(fragment(r).encode("utf-8"))
        if r.randrange(40) == 0:
            parts.append(r.choice(RAW))
        k = r.randrange(10)
        parts.append(b" " if k < 4 else b"" if k < 8 else r.choice(SPACES).encode("utf-8"))
    if r.randrange(3):
        parts.pop()
    return b"".join(parts)


def corpus(seed=1):
    """[(unit, count)]"""
    r = random.Random(seed)
    lines = [(b"", 1), (b" ", 1), (b"a", 1), (b"a dog", 1)]
    for s in WORDS + SCRIPTS + EMOJI + ENTITIES + SPECIAL:
        lines.append((s.encode(), 1))
    for s in SPACES + CONTROLS + MARKS:
        lines.append((("a" + s + "b " + s + "c" + s).encode(), 1))
    for s in RAW:
        lines.append((b"x" + s + b"y", 1))
        lines.append((s, 1))
    for w in WORDS[:30]:
        lines.append((w.encode(), 1))
    long = [b"a", b"ab", b"dog ", b"a photo of a dog, ", b"'", b"'s", b"!", b"1", b"_", b" ", b"\t", b"\n", b"x\n", b"\r\n",
            b"&", b"&amp;", b"&amp;amp;", b"&lt;", b"&#", b"&#x", b"&#65;", b"&#0;", b"&notit;", b"&EACUTE;", b"<", b"\x1b[0m",
            b"\x1b[1", b"\x1b", b"\x00", b"\xff", b"\xe2\x82", "é".encode(), "e\u0301".encode(), "\u0301".encode(),
            "\u0301\u0316".encode(), "a\u0323\u0307".encode(), "Σ".encode(), "Σ'".encode(), "'Σ".encode(), "İ".encode(),
            "ﬃ".encode(), "Ａ".encode(), "ｶﾞ".encode(), "猫".encode(), "한".encode(), "각".encode(), "👍🏿".encode(),
            "👩‍👩‍👧‍👦".encode(), "🇩🇪".encode(), "ا".encode(), "क्ष".encode(), "ภา".encode(), "“".encode(), "\u2028".encode(),
            "\ufeff".encode(), "\u200b".encode(), "\xad".encode(), "\x85".encode(), "\U0010ffff".encode(),
            b"supercalifragilistic", b"[CLS]", b"<|endoftext|>", b"<end_of_text>", b"<|", b"-", b"ha", b"the", b"zq"]
    for unit in long:
        lines.append((unit, max(1, 100000 // len(unit))))
        lines.append((unit, 101))
    for _ in range(20):  # a long line that is no repetition of one word
        lines.append((b"".join(mixed_line(r) + b" " for _ in range(12)), 200))
    while len(lines) < LINES:
        lines.append((mixed_line(r), 1))
    return lines


def write_vocabulary(folder):
    """vocab.json and merges.txt as published CLIP models have them, from the merges alone."""
    merges = open(os.path.join(ROOT, "third_party/clip/bpe_merges.txt"), encoding="utf-8").read().split("\n")[:-1]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    first = [chr(b) for b in shown] + [chr(256 + i) for i in range(256 - len(shown))]
    pieces = first + [p + "</w>" for p in first] + ["".join(m.split()) for m in merges]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({p: i for i, p in enumerate(pieces)}, f, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")


def references(folder):
    import ftfy
    import open_clip.tokenizer as oc
    from transformers import BertTokenizer, CLIPTokenizer
    write_vocabulary(folder)
    hf = CLIPTokenizer.from_pretrained(folder)
    bert = BertTokenizer(vocab=os.path.join(ROOT, "third_party/bert/vocab.txt"))
    simple = oc.SimpleTokenizer()
    plain = ftfy.fix_text
    config = ftfy.TextFixerConfig(fix_encoding=False, explain=False)

    def open_ids(text, repair=False):
        oc.ftfy.fix_text = plain if repair else lambda s: plain(s, config)
        try:
            return [simple.sot_token_id] + simple.encode(text) + [simple.eot_token_id]
        finally:
            oc.ftfy.fix_text = plain

    return {"hf": lambda s: hf(s)["input_ids"], "open": open_ids, "wordpiece": lambda s: bert(s)["input_ids"]}


def fnv(ids):
    h = 0xCBF29CE484222325
    for b in b"".join(i.to_bytes(4, "little") for i in ids):
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def leb(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def token(text, normalized):
    return {"content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized}


BOS, EOS = "<|startoftext|>", "<|endoftext|>"
FOLDERS = {  # the files beside vocab.json and merges.txt; as published models have them
    "plain": {},
    "legacy": {
        "tokenizer_config.json": {"bos_token": dict(token(BOS, True), __type="AddedToken"),
                                  "eos_token": dict(token(EOS, True), __type="AddedToken"),
                                  "unk_token": dict(token(EOS, True), __type="AddedToken"),
                                  "pad_token": EOS, "do_lower_case": True, "model_max_length": 77,
                                  "tokenizer_class": "CLIPTokenizer"},
        "special_tokens_map.json": {"bos_token": token(BOS, True), "eos_token": token(EOS, True),
                                    "unk_token": token(EOS, True), "pad_token": EOS}},
    "decoder": {
        "tokenizer_config.json": {"added_tokens_decoder": {"0": dict(token("!", False), special=True),
                                                           "49406": dict(token(BOS, True), special=True),
                                                           "49407": dict(token(EOS, True), special=True)},
                                  "bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": "!",
                                  "tokenizer_class": "CLIPTokenizer"}},
    "added": {
        "added_tokens.json": {"<cat-toy>": 49408, "*": 265},
        "special_tokens_map.json": {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": "<pad>",
                                    "mask_token": dict(token("<mask>", False), lstrip=True),
                                    "additional_special_tokens": ["<x>"]}},
}
FOLDER_LINES = ["a dog", "A DOG", "<|startoftext|> a", "x<|STARTOFTEXT|>y", "!!<|endoftext|>!!", "!!<|ENDOFTEXT|>!!", "a!b !",
                "a <|ENDOFTEXT|> b", "<|start<|endoftext|>", "İ<|Startoftext|>", "<cat-toy>", "a <CAT-TOY> b", "<pad>x<PAD>", "a  <mask>  b",
                "**", "2*3", "<x><X> x", "don't DON'T", "", " ", "\u00e9 e\u0301", "<|endoftext|><|endoftext|>", "naïve ﬁ"]


def write_folder(out, name, files, vocabulary):
    from transformers import CLIPTokenizer
    folder = os.path.join(out, "folder_" + name)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        for f in ("vocab.json", "merges.txt"):
            os.symlink(os.path.join(vocabulary, f), os.path.join(tmp, f))
        for f, content in files.items():
            for d in (tmp, folder):
                with open(os.path.join(d, f), "w", encoding="utf-8") as h:
                    json.dump(content, h, indent=1)
        t = CLIPTokenizer.from_pretrained(tmp)
    with open(os.path.join(folder, "expected.txt"), "w", encoding="utf-8") as h:
        h.write(f"pad\t{t.pad_token_id}\n")
        for s in FOLDER_LINES:
            h.write(json.dumps(s) + "\t" + " ".join(map(str, t(s)["input_ids"])) + "\n")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "tests/golden/tokenizer")
    os.makedirs(out, exist_ok=True)
    lines = corpus()
    with tempfile.TemporaryDirectory() as folder:
        refs = references(folder)
        for name, files in FOLDERS.items():
            write_folder(out, name, files, folder)
    changed = 0
    with open(os.path.join(out, "corpus.bin"), "wb") as c, open(os.path.join(out, "hashes.bin"), "wb") as h, \
            open(os.path.join(out, "sample.txt"), "w", encoding="ascii") as s:
        for n, (unit, count) in enumerate(lines):
            text = (unit * count).decode("utf-8", "replace")
            c.write(leb(len(unit)) + leb(count) + unit)
            for kind in ("hf", "open", "wordpiece"):
                ids = refs[kind](text)
                h.write(fnv(ids).to_bytes(8, "little"))
                if n % 50 == 7 and count == 1:
                    s.write(f"{n} {kind} " + " ".join(map(str, ids)) + "\n")
                if kind == "open":
                    changed += refs["open"](text, True) != ids
    print(f"{len(lines)} lines, {sum(len(u) for u, _ in lines)} bytes; mojibake repair would change {changed}")


if __name__ == "__main__":
    main()
