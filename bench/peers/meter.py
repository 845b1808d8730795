"""Runs a command and says what it took: wall-clock time, processor time, the memory of its whole
tree of processes at the highest moment, and how much of the machine others used meanwhile."""

import os
import resource
import subprocess
import threading
import time


def machine_busy():
    """Seconds that all processors worked since start-up, and seconds that the host took away."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def own_work():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


class Load:
    """Share of the machine, 0 to 1, that went to others and to the host since it was made."""

    def __init__(self):
        self.start = time.monotonic(), *machine_busy(), own_work()

    def share(self):
        wall, busy, steal, own = (b - a for a, b in zip(self.start, (time.monotonic(), *machine_busy(), own_work())))
        return max(0.0, busy - own + steal) / (wall * os.cpu_count())


def tree_of(root):
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(pid))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def memory_of(pids):
    """Proportional set size in MB: what processes share counts once."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1e3


class Outcome:
    def __init__(self, code, out, err, seconds, peak_mb):
        self.code, self.out, self.err, self.seconds, self.peak_mb = code, out, err, seconds, peak_mb


def run(command, cwd=None, env=None, watch_memory=False):
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()

    def watch():
        while not done.wait(0.2):
            peak[0] = max(peak[0], memory_of(tree_of(child.pid)))

    watcher = threading.Thread(target=watch)
    if watch_memory:
        watcher.start()
    out, err = child.communicate()
    seconds = time.monotonic() - start
    if watch_memory:
        done.set()
        watcher.join()
    return Outcome(child.returncode, out, err, seconds, peak[0])
