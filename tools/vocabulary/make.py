#!/usr/bin/env python3
"""Makes third_party/wordnet/vocabulary.tsv, the terms that `eidetic caption --mode tags` knows.

    apt-get download wordnet-base scowl; for d in *.deb; do dpkg -x "$d" root; done
    tools/vocabulary/make.py --root root --imagenet imagenet_synsets.txt

WordNet gives things that can be photographed with their hypernyms, SCOWL says which words are common,
the ImageNet list (timm's data/_info) which synsets are kept although they are not, own.txt the rest: people,
scenes, weather, activities, colours, terms of photography, everyday compounds. People come from own.txt alone:
WordNet's nouns for people judge them, which no picture can. A line: term, kind, parent term or nothing.
"""
import argparse
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
# WordNet's lexicographer files of what can be seen, and the least common SCOWL level taken from each.
LEX = {5: ("animal", 55), 6: ("thing", 35), 8: ("body", 35), 13: ("food", 50), 17: ("nature", 50),
       19: ("weather", 0), 20: ("plant", 50)}
# Whole subtrees that are no sight, by the first word of their top synset and its lexicographer file.
CUT = {("drug", 6), ("medicine", 6), ("line", 6), ("substance", 3), ("animal_order", 5), ("microorganism", 5),
       ("parasite", 5), ("body_substance", 8), ("sex_organ", 8), ("gland", 8), ("bone", 8), ("cell", 8), ("tissue", 8),
       ("nervous_system", 8), ("vein", 8), ("artery", 8), ("membrane", 8), ("system", 8), ("taxonomic_group", 14),
       ("fungus_genus", 20), ("microphotometer", 6), ("way", 6), ("creation", 6), ("facility", 6), ("excreta", 27),
       ("explosive", 6), ("computer_circuit", 6), ("electrical_device", 6), ("internal_organ", 8),
       ("extraterrestrial_object", 17), ("atom", 17), ("particle", 17), ("molecule", 17), ("nymph", 5), ("larva", 5),
       ("electronic_device", 6), ("organelle", 8), ("muscle", 8), ("nerve", 8), ("zoonotic_disease", 14)}
KEEP = {"camera", "television", "radio", "computer", "microphone", "loudspeaker", "highway", "road"}  # although cut
# Terms that say nothing of a picture, are coarse, or whose plain reading is another thing.
DENY = set("""artifact whole structure instrumentality device equipment implement system unit covering container article
commodity conveyance transport equipment facility creation product surface part section piece thing object item goods
matter substance component fixture apparatus mechanism machine means layer strip sheet assembly array decoration
consumer_goods durables attachment support framework bar bed_linen area space enclosure room way passage opening
natural_object body_part organ structure extremity chordate vertebrate placental carnivore ungulate organism creature
male female young mate offspring stray critter biped herbivore omnivore prey predator fetus embryo placenta anus
vagina penis testicle scrotum nipple breast groin crotch buttocks rump bowel urine feces vomit blood pus genitalia
clitoris vulva uterus prostate condom diaphragm tampon dildo vibrator brothel bordello whorehouse gas_chamber
electric_chair gallows guillotine rack noose latrine urinal enema bitch ass cock slut chink spade dyke faggot fag
gizzard tripe offal chitterlings haggis roadkill carrion corpse cadaver nutriment foodstuff comestible dish course
ingredient course fare helping victuals diet ration viands chow gunk lie settle override gather graphic baffle shook
central tidy electric hanging pinnacle down bug young poll doe permit pet plant annual simple shoot falls stock fruit
game half wing land formation planet star electron proton neutron ion quark nucleus molecule particle body
location filling facing binding inspiration adult host primary worker relative foul grub
vascular_plant herb weed woody_plant angiosperm spermatophyte gymnosperm perennial monocot dicot vector carrier
building_complex works plant construction excavation establishment accommodation housing mount rip stain
nerve pore gland tissue cell lobe node follicle duct cord crypt sinus cavity fold process pit fissure
chess rape squash hash swill mush grease slop fodder forage feed mash pap stodge pabulum
equipage rigging appliance ware utensil gear wear garb attire raiment apparel outfit habit getup toggery
drape wrap cover hood support brace prop stay truss band fastener restraint stop catch lock bond tie
reservoir vessel receptacle holder case casing sheath shell housing chamber compartment recess niche
facade_part prosthesis prosthetic implant charge round shot missile projectile arm weaponry ordnance munition
instrument contraption gadget gizmo contrivance knickknack novelty trinket bauble whatchamacallit
crap junk rubbish lumber kitsch trash scrap debris detritus waste dross
ether ground earth hole spot site point line side back front end top bottom edge corner
retail_store mercantile_establishment place_of_business commercial_document institution
swatch bumper_guard nude fetish sex_toy thong g-string jockstrap codpiece
synapse ovum cache coat serge overhang calk spermatozoon architecture primate simian hominid hominoid homo man ape_man human anthropoid eutherian mammal metatherian
arthropod invertebrate crustacean_part hexapod arachnid echinoderm coelenterate mollusk_shell worm_part
fang talon claw_part coat hide pelt tail_part""".split())
# Parents worth naming between a thing and nothing; others pass the parent on to the next above.
RENAME = {"automobile": "car", "motorcar": "car", "sofa": "sofa", "beverage": "drink", "drug_store": "pharmacy",
          "aeroplane": "airplane", "icebox": "refrigerator", "wearable": "clothing", "vesture": "clothing",
          "arthropod": "arthropod", "couch": "sofa", "domestic_fowl": "poultry", "gray": "gray", "electric_refrigerator":
          "refrigerator", "cellular_telephone": "smartphone", "window_shade": "window blind", "shoe": "shoes",
          "boot": "boots", "vegetable": "vegetables", "waterfowl": "waterfowl", "domestic_cat": "cat"}


def read_wordnet(folder):
    synsets = {}
    for line in open(folder / "data.noun", encoding="latin1"):
        if line.startswith("  "):
            continue
        f = line.split("|")[0].split()
        n = int(f[3], 16)
        at = 4 + 2 * n
        pointers = [f[at + 1 + 4 * i:at + 4 + 4 * i] for i in range(int(f[at]))]
        synsets[f[0]] = {"lex": int(f[1]), "words": [f[4 + 2 * i] for i in range(n)],
                         "ids": [int(f[5 + 2 * i], 16) for i in range(n)],
                         "up": [t for s, t, p in pointers if s == "@" and p == "n"],
                         "instance": any(s == "@i" for s, _, _ in pointers)}
    senses = {}
    for line in open(folder / "index.noun", encoding="latin1"):
        if not line.startswith("  "):
            f = line.split()
            senses[f[0]] = f[-int(f[2]):]
    seen = {}
    for line in open(folder / "cntlist.rev", encoding="latin1"):
        key, _, count = line.split()
        seen[key] = int(count)
    return synsets, senses, seen


def read_levels(folder):
    level = {}
    for size in (10, 20, 35, 40, 50, 55):
        for kind in ("english-words", "american-words"):
            for w in open(folder / f"{kind}.{size}", encoding="latin1"):
                level.setdefault(w.strip(), size)
    return level


def read_own():
    terms, kind = {}, None
    for line in (HERE / "own.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            kind = line[1:-1]
            continue
        term, _, parent = (p.strip() for p in line.partition(">"))
        terms.setdefault(term, (kind, parent))
    return terms


class Chooser:
    def __init__(self, args):
        self.synsets, self.senses, self.seen = read_wordnet(args.root / "usr/share/wordnet")
        self.level = read_levels(args.root / "usr/share/dict/scowl")
        self.imagenet = {s.strip()[1:] for s in open(args.imagenet)}
        self.name = {}  # synset -> term

    def above(self, off):
        """All synsets above, nearest first."""
        out, queue = [], list(self.synsets[off]["up"])
        while queue:
            o = queue.pop(0)
            if o not in out:
                out.append(o)
                queue += self.synsets[o]["up"]
        return out

    def cut(self, off):
        for o in [off] + self.above(off):
            if (self.synsets[o]["words"][0], self.synsets[o]["lex"]) in CUT:
                return True
        return False

    def count(self, s, i):
        return self.seen.get(f"{s['words'][i].lower()}%1:{s['lex']:02d}:{s['ids'][i]:02d}::", 0)

    def take(self, off, s):
        """The word that names this synset, or None."""
        if s["lex"] not in LEX or s["instance"]:
            return None
        kind, limit = LEX[s["lex"]]
        if off in self.imagenet:  # "Cardigan Welsh corgi" is plainer than "Cardigan"
            return next((w for w in s["words"][1:] if s["words"][0] in w), s["words"][0])
        w = s["words"][0]
        if w in DENY or self.senses[w.lower()].index(off) != 0:
            return None
        if self.cut(off) and w not in KEEP:
            return None
        parts = re.split("[-_]", w)
        level = max(self.level.get(p, 99) for p in parts)
        if len(parts) == 1:
            rare = 50 if s["lex"] == 6 and self.count(s, 0) else limit
            return w if level <= rare and len(w) > 2 else None
        head = self.senses.get(parts[-1].lower(), [])
        known = any(h in self.above(off) for h in head)
        if len(parts) == 2 and s["lex"] in (5, 6, 13, 17) and level <= 35 and "'" not in w:
            if self.count(s, 0) or (known and level <= 20 and s["lex"] != 6):
                return w
        return None

    def choose(self):
        taken = {}
        for off, s in sorted(self.synsets.items()):
            w = self.take(off, s)
            if w:
                term = RENAME.get(w, w.replace("_", " "))
                term = term if off in self.imagenet else term.lower()
                if term not in taken:
                    taken[term] = off
        self.name = {off: t for t, off in taken.items()}
        return taken

    def parent(self, off, own):
        for o in self.above(off):
            if o in self.name:
                return self.name[o]
            for w in self.synsets[o]["words"]:
                term = RENAME.get(w, w.replace("_", " "))
                if term in own and w not in DENY and self.senses[w.lower()].index(o) == 0:
                    return term
        return ""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", type=Path, required=True)
    p.add_argument("--imagenet", type=Path, required=True)
    p.add_argument("-o", "--output", type=Path, default=HERE.parent.parent / "third_party/wordnet/vocabulary.tsv")
    args = p.parse_args()
    own = read_own()
    chooser = Chooser(args)
    rows = dict(own)
    lower = {t.lower() for t in own}
    for term, off in chooser.choose().items():
        if term.lower() in lower:
            continue
        lower.add(term.lower())
        rows[term] = (LEX[chooser.synsets[off]["lex"]][0], chooser.parent(off, own))
    for term, (kind, parent) in list(rows.items()):  # a parent must be a term, and no term its own ancestor
        if parent and parent not in rows:
            print("no such parent:", term, ">", parent)
            rows[term] = (kind, "")
    for term in rows:
        chain, t = {term}, rows[term][1]
        while t:
            if t in chain:
                print("circle at", term)
                rows[term] = (rows[term][0], "")
                break
            chain.add(t)
            t = rows[t][1]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with open(args.output, "w", encoding="utf-8") as out:
        for term in sorted(rows, key=lambda t: (t.lower(), t)):
            out.write("\t".join((term, *rows[term])) + "\n")
    kinds = {}
    for kind, _ in rows.values():
        kinds[kind] = kinds.get(kind, 0) + 1
    print(len(rows), "terms:", ", ".join(f"{n} {k}" for k, n in sorted(kinds.items())),
          "-", sum(1 for _, q in rows.values() if q), "with a parent")


if __name__ == "__main__":
    main()
