"""The rows of bench/compare: ours and the peer in turn, medians, ratios. Started by bench/compare,
which cleans the environment, builds, and makes the models and pictures."""

import datetime
import os
import re
import shutil
import statistics
import subprocess
import sys

import meter

ROUNDS = int(os.environ.get("ROUNDS", "3"))
DATA = os.path.abspath(sys.argv[1])
WORK = os.path.abspath(sys.argv[2])
BUILD = os.path.abspath("build/release")
HERE = os.path.dirname(os.path.abspath(__file__))
QUERY = "a man riding a wave on a board"  # 10 tokens with both ends
EIDETIC = os.path.join(BUILD, "eidetic")
RCLIP = os.path.join(os.path.dirname(sys.executable), "rclip")
RCLIP_MODEL = os.path.join(DATA, "vit-b-32-256")  # rclip's shape; ours runs the same weights


class CannotRun(Exception):
    pass


def checked(outcome, command, allowed=(0,)):
    if outcome.code not in allowed:
        last = (outcome.err.strip() or outcome.out.strip() or "no message").splitlines()[-1]
        raise CannotRun(f"{os.path.basename(command[0])} ended with {outcome.code}: {last}")
    return outcome


def call(command, allowed=(0,), **kw):
    return checked(meter.run(command, **kw), command, allowed)


def in_turn(ours, peer):
    """Each a function of the round; the medians of what they return."""
    a, b = [], []
    for i in range(ROUNDS):
        a.append(ours(i))
        b.append(peer(i) if peer else 0)
    return statistics.median(a), statistics.median(b)


def say(row, unit, ours, peer, ratio, target, note=""):
    verdict = "reached" if ratio >= target else "MISSED"
    against = f"peer {peer:.4g}, " if peer else ""
    print(f"{row:12} ours {ours:.4g}, {against}{unit}; ratio {ratio:.2f}, target {target:.2f}: {verdict}{note}", flush=True)
    with open(os.path.join(WORK, "results.tsv"), "a") as f:
        now = datetime.datetime.now().isoformat(" ", "minutes")
        f.write(f"{now}\t{row}\t{ours:.5g}\t{peer:.5g}\t{unit}\t{ratio:.3f}\t{target}\t{note}\n")


# ---- towers: ours by bench_clip -o, the peer by towers.py; the first round picks each one's batch


def clip_figure(model, precision, what):
    command = [os.path.join(BUILD, "bench", "bench_clip"), "-t", "2", "-s", "2", "-o", what]
    if precision != "f32":
        command += ["-P", precision]
    return float(call([*command, model]).out)


def peer_figures(model, ways):
    command = [sys.executable, os.path.join(HERE, "towers.py"), DATA, model, *ways, "-s", "1.5"]
    lines = (line.split() for line in call(command).out.splitlines())
    return {way: float(rate) for way, rate in lines}


def best_in_turn(model, precision, mine, ways):
    """The best way of each in the first round, then the two in turn."""
    first_ours = {w: clip_figure(os.path.join(DATA, model), precision, w) for w in mine}
    first_peer = peer_figures(model, ways)
    our_way, way = max(first_ours, key=first_ours.get), max(first_peer, key=first_peer.get)
    ours, peer = [first_ours[our_way]], [first_peer[way]]
    for _ in range(ROUNDS - 1):
        ours.append(clip_figure(os.path.join(DATA, model), precision, our_way))
        peer.append(peer_figures(model, [way])[way])
    return statistics.median(ours), statistics.median(peer), f" ({our_way} against {way})"


def tower(row, model, precision, ways, target, mine=("images:8", "images:16", "images:32")):
    def measure():
        ours, peer, note = best_in_turn(model, precision, mine, ways)
        say(row, "images/s", ours, peer, ours / peer, target, note)

    return measure


def text():
    """Sentences are computed in f32, as search does from weights kept in f16."""
    ways = ["ort-text:1", "ort-text-int8:1", "ort-text-int8pc:1"]
    ours, peer, note = best_in_turn("vit-b-32", "auto", ["text:" + QUERY], ways)
    note = f" (f16 weights against {note.rpartition(' ')[2]} ratio is to 5 ms; to the peer {ours / peer:.2f}"
    say("text", "ms a query of 10 tokens", 1e3 / ours, 1e3 / peer, 5 / (1e3 / ours), 1, note)


def starter():
    for precision, target in ("f32", 85), ("int8", 200):
        try:
            rates = [max(clip_figure("models/starter", precision, f"images:{b}") for b in (8, 16)) for _ in range(ROUNDS)]
            rate = statistics.median(rates)
            say("starter", f"images/s {precision}, ratio is to {target}", rate, 0, rate / target, 1)
        except CannotRun as e:
            skip("starter " + precision, e)


# ---- whole programs


def fresh(*parts):
    path = os.path.join(WORK, *parts)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def rclip_datadir(path):
    os.makedirs(path, exist_ok=True)
    for name in os.listdir(os.path.join(DATA, "rclip")):
        target = os.path.join(path, name)
        if not name.startswith("db.") and not os.path.lexists(target):
            os.symlink(os.path.join(DATA, "rclip", name), target)
    return dict(os.environ, RCLIP_DATADIR=path)


def eidetic_index(library, folder, precision, **kw):
    """Index and one search, since rclip's one command does both; 1 = answered, though nothing fits."""
    steps = 'a=$1; shift; "$a" index -q "$@" "$FOLDER" && "$a" search -f -t 1 -q "$@" "$QUERY"'
    command = ["sh", "-c", steps, "sh", EIDETIC, "--library", library, "--model", RCLIP_MODEL, "--precision", precision]
    return call(command, allowed=(0, 1), env=dict(os.environ, FOLDER=folder, QUERY=QUERY), **kw)


def rclip(folder, env, *args, **kw):
    return call([RCLIP, *args, "-f", "-t", "1", QUERY], cwd=folder, env=env, **kw)


def index(row, name, target, target_int8):
    def measure():
        folder = os.path.realpath(os.path.join(WORK, "pictures", name))  # as rclip prints it
        n = len(os.listdir(folder))
        subprocess.run(["cat", *(os.path.join(folder, f) for f in os.listdir(folder))], stdout=subprocess.DEVNULL, check=True)
        precisions = [("auto", target), ("int8", target_int8)]
        rates, peaks = {}, {}

        def one(key, outcome, out_of):
            if not outcome.out.strip().startswith(folder):
                raise CannotRun(f"{key} answered nothing: {outcome.err.strip()[-200:]}")
            rates.setdefault(key, []).append(out_of / outcome.seconds)
            peaks.setdefault(key, []).append(outcome.peak_mb)

        for _ in range(ROUNDS):
            for precision, _target in list(precisions):
                try:
                    library = fresh("library")
                    one(precision, eidetic_index(library, folder, precision, watch_memory=True), n)
                except CannotRun as e:
                    skip(f"{row} {precision}", e)
                    precisions.remove((precision, _target))
            one("rclip", rclip(folder, rclip_datadir(fresh("rclip")), watch_memory=True), n)
        peer, peer_mb = statistics.median(rates["rclip"]), max(peaks["rclip"])
        for precision, goal in precisions:
            ours, mb = statistics.median(rates[precision]), max(peaks[precision])
            say(row, f"images/s, {precision}", ours, peer, ours / peer, goal, f" (memory {mb:.0f} against {peer_mb:.0f} MB)")

    return measure


def large_library(n):
    """n pictures in both programs' libraries, made once; and rclip's environment."""
    folder, library = os.path.join(WORK, f"many-{n}"), os.path.join(WORK, f"library-{n}")
    datadir = os.path.join(WORK, f"rclip-{n}")
    ready = os.path.join(WORK, f"ready-{n}")
    env = rclip_datadir(datadir)
    if not os.path.exists(ready):
        call([os.path.join(BUILD, "bench", "make_library"), library, folder, RCLIP_MODEL, str(n)])
        call([sys.executable, os.path.join(HERE, "rclip_library.py"), datadir, folder, str(n)])
        search(library)  # makes what it keeps beside the database
        open(ready, "w").close()
    return folder, library, env


def search(library, **kw):
    command = [EIDETIC, "search", "-f", "-t", "1", "-q", "--library", library, "--model", RCLIP_MODEL, QUERY]
    return call(command, allowed=(0, 1), **kw)


def reindex():
    folder, library, env = large_library(100000)
    eidetic_index(library, folder, "auto"), rclip(folder, env)  # warm
    alone = [EIDETIC, "index", "-q", "--library", library, "--model", RCLIP_MODEL, folder]
    only = statistics.median(call(alone).seconds for _ in range(ROUNDS))
    no_index = statistics.median(rclip(folder, env, "-n").seconds for _ in range(ROUNDS))
    ours, peer = in_turn(lambda i: eidetic_index(library, folder, "auto").seconds, lambda i: rclip(folder, env).seconds)
    note = f" (both with one search; without it ours {only:.2f} s, rclip {peer - no_index:.2f} s by difference, ratio {(peer - no_index) / only:.1f})"
    say("reindex", "s, 100,000 unchanged files", ours, peer, peer / ours, 5, note)


def start(n):
    def measure():
        folder, library, env = large_library(n)
        search(library), rclip(folder, env, "-n")  # warm
        ours, peer = in_turn(lambda i: statistics.median(search(library).seconds for _ in range(5)),
                             lambda i: rclip(folder, env, "-n").seconds)
        mb = search_peak([EIDETIC, "search", "-f", "-t", "1", "-q", "--library", library, "--model", RCLIP_MODEL, QUERY])
        peer_mb = search_peak([RCLIP, "-n", "-f", "-t", "1", QUERY], cwd=folder, env=env)
        note = f" (memory {mb:.0f} against {peer_mb:.0f} MB; goal 50 ms and 200 MB)"
        say(f"start-{n // 1000}k", "ms", 1e3 * ours, 1e3 * peer, peer / ours, 20, note)

    return measure


def search_peak(command, **kw):
    """Largest resident set in MB, as the kernel keeps it: too short a run to be watched."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return usage.ru_maxrss / 1e3


def scan():
    ours, peer = {}, {}
    for _ in range(ROUNDS):
        command = [os.path.join(BUILD, "bench", "bench_search"), "--rows", "100000", "--dim", "512", "--ivf-rows", "0", "--threads", "1"]
        for line in call(command).out.splitlines():
            found = re.match(r"\s*1 thread\s+(\S.*?)\s+([\d.]+) ms", line)
            if found:
                ours.setdefault(" ".join(found[1].split()), []).append(float(found[2]))
        for line in call([sys.executable, os.path.join(HERE, "scan.py"), "100000", "512"]).out.splitlines():
            name, ms = line.rsplit(" ", 1)
            peer.setdefault(name, []).append(float(ms))
    mine = {name: statistics.median(times) for name, times in ours.items()}
    print(f"{'scan':12} " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in mine.items()))
    levels = [name for name in mine if name.startswith("avx") and " " not in name]
    if not levels:
        raise CannotRun("no vector kernel runs here")
    best = min(levels, key=mine.get)
    for kept in "", " 0.5", " 0.05", " 0.005":
        for name in "flat", "fp16":
            theirs = statistics.median(peer[name + kept])
            own = mine[best if not kept else f"{best} {float(kept):.3f}"]
            say("scan", f"ms, 100,000 x 512, 1 thread, kept:{kept or ' all'}", own, theirs, theirs / own, 1, f" (f16 {best} against FAISS {name})")


ROWS = {
    "f32": tower("f32", "vit-b-32", "f32", ["ort:8", "ort:16", "ort:32"], 1.2),
    "bf16": tower("bf16", "vit-b-32", "bf16", ["torch:8", "torch:16", "torch:32", "torch-autocast:32"], 1.25),
    "int8": tower("int8", "vit-b-32", "int8", ["ort-int8:8", "ort-int8:16", "ort-int8:32", "ort-int8pc:16"], 1.4),
    "l14": tower("l14", "vit-l-14", "bf16", ["torch:8"], 1.3, ["images:8"]),
    "text": text,
    "starter": starter,
    "index12": index("index12", "12mp", 4.5, 5.5),
    "index1": index("index1", "1mp", 3, 3),
    "reindex": reindex,
    "start10k": start(10000),
    "start100k": start(100000),
    "scan": scan,
}


def skip(row, why):
    print(f"{row:12} NOT RUN: {why}", flush=True)


def main():
    names = sys.argv[3:] or list(ROWS)
    unknown = [n for n in names if n not in ROWS]
    if unknown:
        sys.exit(f"compare: no row is called {unknown[0]}; there are: {' '.join(ROWS)}")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    if len(os.sched_getaffinity(0)) != 2:
        sys.exit("compare: two processors are needed, and this machine gives one")
    failed = False
    for name in names:
        load = meter.Load()
        try:
            ROWS[name]()
        except CannotRun as e:
            failed = True
            skip(name, e)
        print(f"{'':12} others used {100 * load.share():.0f} % of the machine meanwhile", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
