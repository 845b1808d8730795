#!/usr/bin/env python3
"""Makes third_party/clip-interrogator's lists from a checkout of that project (MIT licence).

    python3 tools/interrogate/make_lists.py CHECKOUT third_party/clip-interrogator

What is kept: mediums, movements and negative phrases as they are; of the 100,970 flavors the first
3,000 (they stand in the order of their frequency) that are words of ASCII, at most five of them, and
name none of the artists kept and nothing that the other lists are for; of the artists those whom the
flavors name, and of the rest every so many, 800 in all."""
import collections
import pathlib
import re
import sys

FLAVORS, ARTISTS, WORDS = 3000, 800, 5
LEFT_OUT = re.compile(
    r"\b(nude|naked|nsfw|sex\w*|erotic\w*|bdsm|breasts?|cleavage|bikini|lingerie|underwear|gore|guts|"
    r"hitler|nazis?|trump|putin|biden|obama|style of|artists?|trending|featured|contest|deviantart|"
    r"artstation|art station|artstatio\w*|arts?tation\w*|behance|cgsociety|cg society|pixiv|instagram|pinterest|unsplash|"
    r"shutterstock|flickr|tumblr|reddit|zbrush central|by)\b")


def read(checkout, name):
    path = pathlib.Path(checkout, "clip_interrogator", "data", name + ".txt")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def artists_by_mention(artists, flavors):
    """Counts the flavors that hold a whole name of two words at least."""
    names = {a.lower(): a for a in artists}
    longest = max(len(a.split()) for a in names)
    count = collections.Counter()
    for flavor in flavors:
        words = flavor.lower().split()
        for i in range(len(words)):
            for n in range(2, longest + 1):
                name = names.get(" ".join(words[i : i + n]))
                if name and i + n <= len(words):
                    count[name] += 1
    named = sorted((a for a in artists if count[a]), key=lambda a: (-count[a], a))[:ARTISTS]
    rest = sorted(a for a in artists if not count[a])
    want = ARTISTS - len(named)
    return named + [rest[i * len(rest) // want] for i in range(want)], set(named)


def main():
    checkout, out = sys.argv[1:]
    flavors, artists = read(checkout, "flavors"), read(checkout, "artists")
    chosen, named = artists_by_mention(artists, flavors)
    surnames = {a.lower().split()[-1] for a in named}
    kept = []
    for f in flavors:
        words = f.split()
        ok = re.fullmatch(r"[a-z0-9][a-z0-9 '&.+-]*", f) and len(words) <= WORDS and not LEFT_OUT.search(f)
        if ok and words[-1] not in surnames:
            kept.append(f)
    lists = {
        "flavors": kept[:FLAVORS],
        "artists": sorted(chosen),
        "mediums": read(checkout, "mediums"),
        "movements": read(checkout, "movements"),
        "negative": read(checkout, "negative"),
    }
    for name, lines in lists.items():
        lines = list(dict.fromkeys(lines))
        pathlib.Path(out, name + ".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(name, len(lines))


main()
