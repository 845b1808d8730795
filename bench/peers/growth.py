"""Draws what bench_scale printed: from the start to the answer, a query of a batch, memory, over the number of pictures.

usage: bench_scale ... | growth.py > docs/growth.svg     both axes are logarithmic
"""
import math
import re
import sys

W, H, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 70, 30, 190, 50
LINES = (("from the start to the answer, ms", r"from start, no filter\s+(\d+) ms", "#1b6ca8"),
         ("half of them, by folder, ms", r"from start, half, a folder\s+(\d+) ms", "#7aa6c2"),
         ("a query of a --batch, ms", r"--batch\s+([\d.]+) ms", "#c8553d"),
         ("resident memory, MB", r"from start, no filter.*?(\d+) MB", "#5a8f3d"))


def main():
    points, n = {name: {} for name, _, _ in LINES}, None
    for line in sys.stdin:
        if m := re.match(r"(\d+) pictures", line):
            n = int(m[1])
        for name, pattern, _ in LINES:
            if n and (m := re.search(pattern, line)) and n not in points[name]:
                points[name][n] = float(m[1])
    xs = sorted({x for p in points.values() for x in p})
    lo, hi = math.log10(xs[0]), math.log10(xs[-1])
    top = math.ceil(math.log10(max(max(p.values()) for p in points.values() if p)))
    at = lambda x, y: (LEFT + (math.log10(x) - lo) / (hi - lo) * (W - LEFT - RIGHT), H - BOTTOM - math.log10(max(y, 1)) / top * (H - TOP - BOTTOM))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="white"/>']
    for e in range(top + 1):
        y = at(xs[0], 10 ** e)[1]
        out.append(f'<path d="M{LEFT} {y:.1f}H{W - RIGHT}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10 ** e:,}</text>')
    for x in xs:
        out.append(f'<text x="{at(x, 1)[0]:.1f}" y="{H - BOTTOM + 20}" text-anchor="middle">{x:,}</text>')
    out.append(f'<text x="{(LEFT + W - RIGHT) / 2}" y="{H - 8}" text-anchor="middle">pictures in the library</text>')
    for name, _, colour in LINES:
        line = [at(x, y) for x, y in sorted(points[name].items())]
        if not line:
            continue
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in line)}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in line]
        out.append(f'<text x="{line[-1][0] + 8:.1f}" y="{line[-1][1] + 4:.1f}" fill="{colour}">{name}</text>')
    print("\n".join(out + ["</svg>"]))


if __name__ == "__main__":
    main()
