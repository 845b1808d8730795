"""The starter captioner: a pre-norm decoder whose layers attend to the starter's 81 patch states and its vector.

Surprising: words of all sentences of a batch lie in one matrix without padding; only attention itself sees padded rows.
It is caption/lm.h's network (pre_norm, cross), so that the program needs no more than names; the head is the word table.
"""
import torch
import torch.nn.functional as F
from torch import nn

CONTEXT, BEGIN, END = 32, 2, 3


class Attention(nn.Module):
    def __init__(self, d, memory, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = nn.Linear(d, d), nn.Linear(memory, d), nn.Linear(memory, d), nn.Linear(d, d)

    def split(self, x):
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def attend(self, q, k, v, mask=None):
        """Written out: torch's fused kernel takes three times as long backwards on a CPU."""
        s = self.split(q) @ self.split(k).transpose(2, 3) * (q.shape[2] // self.heads) ** -0.5
        return ((s if mask is None else s + mask).softmax(3).to(v.dtype) @ self.split(v)).transpose(1, 2).flatten(2)


class Layer(nn.Module):
    def __init__(self, d, memory, heads, drop):
        super().__init__()
        self.ln1, self.ln_cross, self.ln2 = (nn.LayerNorm(d) for _ in range(3))
        self.attn, self.cross = Attention(d, d, heads), Attention(d, memory, heads)
        self.fc1, self.fc2, self.drop = nn.Linear(d, 4 * d), nn.Linear(4 * d, d), nn.Dropout(drop)

    def forward(self, x, memory, at, shape, mask):
        """x [P,d] of the places `at` among [n*t]; memory [b,M,d], that of n/b sentences each; mask [t,t]."""
        def wide(y, rows):
            return y.new_zeros(shape[0] * shape[1], y.shape[1]).index_copy(0, at, y).view(rows, -1, y.shape[1])
        a, y = self.attn, self.ln1(x)
        s = a.attend(*(wide(m(y), shape[0]) for m in (a.q, a.k, a.v)), mask)
        x = x + self.drop(a.o(s.flatten(0, 1)[at]))
        c = self.cross
        s = c.attend(wide(c.q(self.ln_cross(x)), len(memory)), c.k(memory), c.v(memory))
        x = x + self.drop(c.o(s.flatten(0, 1)[at]))
        return x + self.drop(self.fc2(F.gelu(self.fc1(self.ln2(x)))))

    def step(self, x, memory, cache):
        """x [n,d]: one more word of each; memory: keys and values [b,M,d]; cache: those of the words so far."""
        a, y = self.attn, self.ln1(x)[:, None]
        k, v = a.k(y), a.v(y)
        if cache:
            k, v = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
        x = x + a.o(a.attend(a.q(y), k, v).flatten(0, 1))
        c = self.cross
        q = c.q(self.ln_cross(x))
        x = x + c.o(c.attend(q.view(len(memory[0]), -1, q.shape[1]), *memory).flatten(0, 1))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x)))), (k, v)


class Captioner(nn.Module):
    def __init__(self, vocab, d=256, layers=3, heads=8, memory=384, drop=0.1):
        super().__init__()
        self.tokens, self.positions, self.vector = nn.Embedding(vocab, d), nn.Embedding(CONTEXT, d), nn.Linear(memory, memory)
        self.layers = nn.ModuleList(Layer(d, memory, heads, drop) for _ in range(layers))
        self.norm, self.drop = nn.LayerNorm(d), nn.Dropout(drop)
        nn.init.normal_(self.tokens.weight, std=0.05)
        nn.init.normal_(self.positions.weight, std=0.05)
        with torch.no_grad():
            for layer in self.layers:       # each adds little at first
                for m in (layer.attn.o, layer.cross.o, layer.fc2):
                    m.weight.mul_((3 * layers) ** -0.5)

    def memory(self, states):
        """[b,M,D]: states of places, the picture's vector last."""
        return torch.cat([states[:, :-1], self.vector(states[:, -1:])], 1)

    def forward(self, ids, states, length):
        """ids [n,t] padded, length [n] of each, n a multiple of the pictures -> logits [P,vocab] of the real places, row by row."""
        n, t = ids.shape
        at = (torch.arange(t)[None] < length[:, None]).flatten().nonzero().flatten()
        x = self.tokens(ids.flatten()[at]) + self.positions(at % t)
        x, m, mask = self.drop(x), self.memory(states), torch.full((t, t), float("-inf")).triu(1)
        for layer in self.layers:
            x = layer(x, m, at, (n, t), mask)
        return self.norm(x) @ self.tokens.weight.T

    def step(self, ids, place, memory, cache):
        x = self.tokens(ids) + self.positions.weight[place]
        now = []
        for layer, m, c in zip(self.layers, memory, cache or [None] * len(self.layers)):
            x, c = layer.step(x, m, c)
            now.append(c)
        return self.norm(x) @ self.tokens.weight.T, now

    def say(self, states, each=1, most=20, sample=False):
        """Greedy or drawn sentences: ids [n,t] without begin, padded with END behind the end."""
        n = len(states) * each
        m = self.memory(states)
        memory, cache = [(layer.cross.k(m), layer.cross.v(m)) for layer in self.layers], None
        now, done, out = torch.full((n,), BEGIN), torch.zeros(n, dtype=torch.bool), []
        for place in range(most):
            logits, cache = self.step(now, place, memory, cache)
            logits = logits.float()
            logits[:, [0, 1, 2, 4]] = -1e9
            now = torch.multinomial(logits.softmax(1), 1)[:, 0] if sample else logits.argmax(1)
            now = torch.where(done, END, now)
            out.append(now)
            done |= now == END
            if done.all():
                break
        return torch.stack(out, 1)
