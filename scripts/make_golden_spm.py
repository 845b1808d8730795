#!/usr/bin/env python3
"""Makes tests/golden/tokenizer's folders and hashes of the SentencePiece tokenizers, by transformers itself.

usage: make_golden_spm.py [OUT]      (default tests/golden/tokenizer; needs transformers, tokenizers, sentencepiece, protobuf)

folder_spm/      spiece.model, linked as sentencepiece.bpe.model: a unigram model of 1,500 pieces trained on corpus.bin, with sentencepiece's own nmt_nfkc rules
folder_gemma/    tokenizer.json, tokenizer_config.json: 900 merges with byte fallback, as Siglip2Tokenizer saves them
hashes_spm.bin   for every 4th line of corpus.bin six FNV-1a 64 hashes of its ids, as in hashes.bin: SiglipTokenizer,
                 XLMRobertaTokenizer (both over spiece.model), Siglip2Tokenizer, RobertaTokenizer, T5Tokenizer,
                 Siglip2Tokenizer; XLM-R and the last three behind open_clip's cleaning of each, with ftfy's mojibake repair off
folder_t5/       tokenizer.json: the pieces of spiece.model without its rules
folder_roberta/  tokenizer.json: 500 merges over bytes
fuzz_spm         three small models as seeds, in tests/fuzz/corpus
"""
import io
import json
import os
import sys

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "tokenizer")
STEP = 4


def leb(f):
    v = shift = 0
    while True:
        b = f.read(1)[0]
        v |= (b & 127) << shift
        shift += 7
        if b < 128:
            return v


def corpus():
    f, lines = open(os.path.join(OUT, "corpus.bin"), "rb"), []
    size = os.path.getsize(f.name)
    while f.tell() < size:
        n, count = leb(f), leb(f)
        lines.append((f.read(n) * count).decode("utf-8", "replace"))
    return lines


def fnv(ids):
    h = 0xCBF29CE484222325
    for b in b"".join(i.to_bytes(4, "little") for i in ids):
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def train_unigram(lines):
    import sentencepiece as spm
    folder, model = os.path.join(OUT, "folder_spm"), io.BytesIO()
    os.makedirs(folder, exist_ok=True)
    short = [x.replace("\0", " ") for x in lines if len(x) < 400]
    spm.SentencePieceTrainer.train(sentence_iterator=iter(short), model_writer=model, vocab_size=1500, model_type="unigram",
                                   character_coverage=0.98, normalization_rule_name="nmt_nfkc", num_threads=1,
                                   user_defined_symbols=["hasselblad"], minloglevel=2)
    with open(os.path.join(folder, "spiece.model"), "wb") as f:
        f.write(model.getvalue())
    if not os.path.islink(os.path.join(folder, "sentencepiece.bpe.model")):
        os.symlink("spiece.model", os.path.join(folder, "sentencepiece.bpe.model"))
    return os.path.join(folder, "spiece.model")


def seeds(lines):
    """Small models: rules of a few lines, bytes, merges."""
    import sentencepiece as spm
    folder = os.path.join(OUT, "..", "..", "fuzz", "corpus", "fuzz_spm")
    os.makedirs(folder, exist_ok=True)
    rules = os.path.relpath(os.path.join(folder, "rules.tsv"))     # it is kept in the model: no path of a machine
    with open(rules, "w") as f:
        f.write("FF21\t41\nFF21 0301\tC1\n2122\t54 4D\n3000\t20\n09\t20\n")
    short = [x.replace("\0", " ") for x in lines if len(x) < 60][:400]
    for name, extra in (("unigram", dict(normalization_rule_tsv=rules, user_defined_symbols=["caf"])),
                        ("bytes", dict(byte_fallback=True, normalization_rule_name="identity")), ("bpe", dict(model_type="bpe"))):
        model = io.BytesIO()
        spm.SentencePieceTrainer.train(sentence_iterator=iter(short), model_writer=model, vocab_size=1100, character_coverage=0.98,
                                       num_threads=1, minloglevel=2, hard_vocab_limit=False, **extra)
        with open(os.path.join(folder, name), "wb") as f:
            f.write(model.getvalue() if name != "bpe" else model.getvalue()[:20000])
    os.remove(rules)


def train_gemma(lines):
    from tokenizers import Tokenizer, models, normalizers, trainers
    from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    t.train_from_iterator([x.replace("\0", "") for x in lines if len(x) < 200], trainers.BpeTrainer(vocab_size=1200, limit_alphabet=250, show_progress=False,
                                                                                 max_token_length=12))
    model = json.loads(t.to_str())["model"]
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\n\n", "▁▁"]
    pieces = [p for p, _ in sorted(model["vocab"].items(), key=lambda x: x[1]) if p not in names]
    vocab = {p: i for i, p in enumerate(names + pieces)}
    tok = Siglip2Tokenizer(vocab=vocab, merges=[tuple(m) for m in model["merges"]], add_bos_token=False, add_eos_token=True,
                           padding_side="right", model_max_length=64)
    tok.add_tokens(["\n\n"])
    folder = os.path.join(OUT, "folder_gemma")
    tok.save_pretrained(folder)
    full = json.load(open(folder + "/tokenizer.json"))
    json.dump(full, open(folder + "/tokenizer.json", "w"), ensure_ascii=False, separators=(",", ":"))
    return Siglip2Tokenizer.from_pretrained(folder)


def make_t5(path):
    """The unigram model as T5Tokenizer takes it, without rules."""
    import sentencepiece as spm
    from transformers import T5Tokenizer
    s = spm.SentencePieceProcessor()
    s.Load(path)
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [(s.id_to_piece(i), round(s.get_score(i), 5)) for i in range(3, len(s))]
    folder = os.path.join(OUT, "folder_t5")
    T5Tokenizer(vocab=vocab, extra_ids=0, additional_special_tokens=[], pad_token="</s>").save_pretrained(folder)
    full = json.load(open(folder + "/tokenizer.json"))
    json.dump(full, open(folder + "/tokenizer.json", "w"), ensure_ascii=False, separators=(",", ":"))
    return T5Tokenizer.from_pretrained(folder)


def train_roberta(lines):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer
    t = ByteLevelBPETokenizer()
    t.train_from_iterator([x for x in lines if len(x) < 200], vocab_size=761, show_progress=False,
                          special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    model = json.loads(t.to_str())["model"]
    folder = os.path.join(OUT, "folder_roberta")
    RobertaTokenizer(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]]).save_pretrained(folder)
    full = json.load(open(folder + "/tokenizer.json"))
    json.dump(full, open(folder + "/tokenizer.json", "w"), ensure_ascii=False, separators=(",", ":"))
    return RobertaTokenizer.from_pretrained(folder)


def main():
    import tempfile
    import ftfy
    import open_clip.tokenizer as oc
    from transformers import SiglipTokenizer, XLMRobertaTokenizer
    plain, config = ftfy.fix_text, ftfy.TextFixerConfig(fix_encoding=False, explain=False)
    oc.ftfy.fix_text = lambda s: plain(s, config)
    lines = corpus()
    path = train_unigram(lines)
    seeds(lines)
    gemma = train_gemma(lines)
    with tempfile.TemporaryDirectory() as d:
        for name in ("spiece.model", "sentencepiece.bpe.model"):
            open(os.path.join(d, name), "wb").write(open(path, "rb").read())
        kinds = {"siglip": SiglipTokenizer.from_pretrained(d), "xlmr": XLMRobertaTokenizer.from_pretrained(d), "gemma": gemma}
    kinds["roberta"] = train_roberta(lines)
    kinds["t5"], kinds["gemma canonicalized"] = make_t5(path), gemma
    print({k: len(t) for k, t in kinds.items()})
    with open(os.path.join(OUT, "hashes_spm.bin"), "wb") as f:
        for line in lines[::STEP]:
            for name, t in kinds.items():
                clean = {"xlmr": oc._clean_whitespace, "roberta": oc._clean_whitespace, "t5": oc._clean_canonicalize,
                         "gemma canonicalized": oc._clean_canonicalize}.get(name, str)
                text = clean(line)
                f.write(fnv(t(text)["input_ids"]).to_bytes(8, "little"))


if __name__ == "__main__":
    main()
