"""Word pieces, class names in the classifier's own order, and the sentences made from labels.

Surprising: imagenet_names.txt is sorted by name; the order of the classifier's rows comes
from timm's list of synsets, whose first lemmas are exactly those names.
"""
import os
import random

import torch
from tokenizers import BertWordPieceTokenizer

MAX = 77


class Words:
    def __init__(self, vocab):
        self.tok = BertWordPieceTokenizer(vocab, lowercase=True)
        self.unk = self.tok.token_to_id("[UNK]")

    def ids(self, text):
        i = self.tok.encode(text).ids
        return i if len(i) <= MAX else i[:MAX - 1] + i[-1:]

    def batch(self, ids):
        """Lists of ids -> padded ids, mask (bool)."""
        out = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
        mask = torch.zeros_like(out, dtype=torch.bool)
        for r, i in enumerate(ids):
            out[r, : len(i)] = torch.tensor(i)
            mask[r, : len(i)] = True
        return out, mask


def classes(folder=None):
    """The 1000 classes in the classifier's order: synset, names (WordNet lemmas and others), gloss."""
    import timm
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    info = os.path.join(os.path.dirname(timm.__file__), "data", "_info", "imagenet_")
    lemma, gloss = (dict(line.rstrip("\n").split("\t", 1) for line in open(info + f"synset_to_{x}.txt"))
                    for x in ("lemma", "definition"))
    out = []
    for i, s in enumerate(line.strip() for line in open(info + "synsets.txt")):
        names = [x.strip() for x in lemma[s].split(",")]
        out.append({"synset": s, "names": list(dict.fromkeys(names + [IMAGENET_CLASSNAMES[i]])), "gloss": gloss[s]})
    return out


def things():
    """Names and glosses of the 22,000 WordNet nouns that ImageNet's editors thought could be photographed."""
    import timm
    info = os.path.join(os.path.dirname(timm.__file__), "data", "_info", "imagenet_synset_to_")
    return [line.rstrip("\n").split("\t", 1)[1] for x in ("lemma", "definition") for line in open(info + x + ".txt")]


TEMPLATES = ["a photo of a {}", "a photo of a {}", "{}", "a photo of the {}", "a picture of a {} .", "a {}", "the {}",
             "a close-up photo of a {}", "a good photo of a {}", "there is a {} in the picture", "a photo of one {}",
             "a photo of a large {}", "a photo of a small {}", "a {} in the background", "an image of a {}"]
CALTECH = {"Faces": "face of a person", "Faces easy": "face of a person", "Leopards": "leopard", "Motorbikes": "motorbike",
           "airplanes": "airplane", "car side": "car from the side", "cougar body": "cougar", "cougar face": "face of a cougar",
           "crocodile head": "head of a crocodile", "flamingo head": "head of a flamingo", "water lilly": "water lily",
           "inline skate": "roller skate", "hawksbill": "hawksbill turtle", "ketch": "ketch with sails",
           "garfield": "cartoon of Garfield the cat", "snoopy": "cartoon of Snoopy the dog", "bass": "bass fish",
           "yin yang": "yin yang symbol", "brain": "drawing of a brain", "tick": "tick on skin"}
LABELS = {"sea": ["the sea", "the ocean", "sea waves", "a seascape"], "street": ["a street", "a city street", "a street with houses"],
          "mountain": ["a mountain", "mountains", "a mountain landscape"], "glacier": ["a glacier", "snow and ice on mountains"],
          "forest": ["a forest", "trees in a forest", "woods"], "buildings": ["buildings", "tall buildings in a city", "architecture"],
          "dandelion": ["a dandelion", "dandelion flowers"], "tulip": ["a tulip", "tulips", "tulip flowers"],
          "rose": ["a rose", "roses", "rose flowers"], "daisy": ["a daisy", "daisies", "daisy flowers"],
          "sunflower": ["a sunflower", "sunflowers"], "t-shirt": ["a t-shirt"], "longsleeve": ["a long-sleeved shirt", "a sweater"],
          "pants": ["pants", "trousers", "jeans"], "shoes": ["shoes", "a pair of shoes"], "shirt": ["a shirt"],
          "dress": ["a dress"], "outwear": ["a jacket", "a coat"], "shorts": ["shorts", "a pair of shorts"],
          "hat": ["a hat", "a cap"], "skirt": ["a skirt"], "polo": ["a polo shirt"], "undershirt": ["an undershirt", "a tank top"],
          "blazer": ["a blazer", "a suit jacket"], "hoodie": ["a hoodie"], "body": ["a baby bodysuit"], "top": ["a women's top"],
          "blouse": ["a blouse"], "dog": ["a dog", "a puppy"], "cat": ["a cat", "a kitten"], "kitchen": ["a kitchen", "the inside of a kitchen"],
          "bedroom": ["a bedroom", "a bed in a bedroom"], "sunrise": ["a sunrise", "a sunset", "the sun at the horizon"],
          "foggy": ["fog", "a foggy day", "mist"], "cloudy": ["a cloudy sky", "clouds in the sky"],
          "rainy": ["rain", "a rainy day", "rain drops"], "shine": ["a sunny sky", "the sun in a blue sky"]}


def class_text(c, rng=random):
    """A sentence for a class: mostly its first name, sometimes another name or the gloss."""
    r = rng.random()
    names = c["names"]
    name = names[0] if r < 0.55 or len(names) == 1 else rng.choice(names)
    t = rng.choice(TEMPLATES).format(name)
    if r > 0.9:
        t += ", " + c["gloss"] if r < 0.97 else ""
    return t


def label_text(label, rng=random):
    if label in LABELS:
        thing = rng.choice(LABELS[label])
        return rng.choice(["a photo of {}", "{}", "a picture of {} .", "{} ."]).format(thing)
    return rng.choice(TEMPLATES[:8]).format(CALTECH.get(label, label))
