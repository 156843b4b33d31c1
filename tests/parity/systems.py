"""Records training steps of the conditional, translating, style-based and other systems for `tests/parity.rs`.

    python tests/parity/systems.py [NAME ...]

As `record.py`, whose file format it shares, but written with functions of named tensors: `P` holds parameters and `B` buffers
by ganc's names, and each player's objective is a plain function. PyTorch's own functions do the work wherever there is one.
"""

import gzip
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F
from record import HERE, bf16, images
from safetensors.numpy import save

P, B, START = {}, {}, {}


def reset():
    for table in [P, B, START]:
        table.clear()


def p(name, *shape, like=None):
    """The parameter of this name, small and random at first."""
    if name not in P:
        P[name] = bf16((like if like is not None else 0.0) + 0.3 * torch.randn(*shape)).requires_grad_()
    return P[name]


def buffer(name, start):
    if name not in B:
        B[name] = bf16(start)
    return B[name]


def play(name, players, fresh, feeds, steps=3, born=lambda name: 0):
    """`players`: name -> (prefixes of its parameters, objective(feed, state, step), optimizer maker). `fresh(feed)` computes what players
    share before the first of them learns. Every parameter must have been made by a dry run. An optimizer first meets a parameter
    at step `born(name)`."""
    feeds = {k: bf16(v) for k, v in feeds.items()}
    first = {k: v[0] for k, v in feeds.items()}
    for _, objective, _ in players.values():
        objective(first, fresh(first), 0)
    start_buffers = {k: START[k].clone() for k in B}
    B.update({k: v.clone() for k, v in start_buffers.items()})
    weights = {k: v.detach().numpy().copy() for k, v in P.items()} | {k: v.numpy().copy() for k, v in start_buffers.items()}
    start = {k: v.detach().clone() for k, v in P.items()}
    mine = lambda prefixes: {k: v for k, v in P.items() if k.split(".")[0] in prefixes}
    optimizers = {n: make(list(mine(prefixes).values())) for n, (prefixes, _, make) in players.items()}
    out, ints, scales = {}, {}, {}

    def rounded(key, t):
        scale = float(t.abs().max()) / 32767 or 1.0
        ints[key] = np.round(t.numpy().astype(np.float64) / scale).astype(np.int16)
        scales[key] = scale

    for step in range(steps):
        feed = {k: v[step] for k, v in feeds.items()}
        state = fresh(feed)
        for n, (prefixes, objective, _) in players.items():
            loss = objective(feed, state, step)
            grads = torch.autograd.grad(loss, list(mine(prefixes).values()), retain_graph=True, allow_unused=True)
            out[f"step.{step}.loss.{n}"] = loss.detach().numpy()
            for (k, v), g in zip(mine(prefixes).items(), grads):
                v.grad = torch.zeros_like(v) if g is None else g.detach().clone()
                rounded(f"step.{step}.grad.{k}", v.grad)
                if step < born(k):
                    v.grad = None
            # What was computed keeps the old values: new weights are new tensors.
            for k in mine(prefixes):
                P[k] = P[k].detach().clone().requires_grad_()
            olds = [q for g in optimizers[n].param_groups for q in g["params"]]
            stepped(optimizers[n], olds, list(mine(prefixes).items()))
    for k, v in P.items():
        rounded(f"param.{k}", v.detach() - start[k])
    out |= {f"buffer.{k}": b.detach().numpy() for k, b in B.items() if not k.startswith("history")}
    for file, tensors, metadata in [
        ("weights", weights, None),
        ("feed", {k: v.numpy() for k, v in feeds.items()}, None),
        ("expected", out | ints, {"scales": json.dumps(scales)}),
    ]:
        data = save({k: np.array(v).copy(order="C") for k, v in tensors.items()}, metadata)
        (HERE / name / f"{file}.safetensors.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(name, {k: float(v) for k, v in out.items() if ".loss." in k})


def stepped(optimizer, olds, named):
    """One step of `optimizer`, whose result goes to the new tensors: the old ones are part of graphs still needed."""
    before = [q.detach().clone() for q in olds]
    with torch.no_grad():
        saved = [q.data for q in olds]
        for q, b in zip(olds, before):
            q.data = b
        optimizer.step()
        for q, (k, new), s in zip(olds, named, saved):
            new.copy_(q.data)
        for q, (k, new), s in zip(olds, named, saved):
            q.data = s
    # From here on the optimizer works on the new tensors with the same moments.
    for q, (k, new) in zip(olds, named):
        if q in optimizer.state:
            optimizer.state[new] = optimizer.state.pop(q)
        new.grad = None
    for g in optimizer.param_groups:
        g["params"] = [new for _, new in named]


def start(name, value):
    """The buffer of this name, which starts like this."""
    START.setdefault(name, bf16(value))
    return buffer(name, START[name])


# Layers.

def dense(n, x, out, spectral=False, bias=True):
    w = p(f"{n}.weight", out, x.shape[1])
    w = normed(n, w, 0) if spectral else w
    return F.linear(x, w, p(f"{n}.bias", out) if bias else None)


def normed(n, w, axis):
    """torch.nn.utils.spectral_norm: one power iteration per call."""
    m = w.movedim(axis, 0).flatten(1)
    u, v = start(f"{n}.weight_u", torch.randn(m.shape[0])), start(f"{n}.weight_v", torch.randn(m.shape[1]))
    with torch.no_grad():
        v = F.normalize(m.t() @ u, dim=0, eps=1e-12)
        u = F.normalize(m @ v, dim=0, eps=1e-12)
        B[f"{n}.weight_u"], B[f"{n}.weight_v"] = u.clone(), v.clone()
    return w / torch.dot(u, m @ v)


def conv(n, x, out, k, spectral=False, bias=True, **more):
    d = x.dim() - 2
    w = p(f"{n}.weight", out, x.shape[1], *[k] * d)
    w = normed(n, w, 0) if spectral else w
    return (F.conv1d if d == 1 else F.conv2d)(x, w, p(f"{n}.bias", out) if bias else None, **more)


def conv_t(n, x, out, k, spectral=False, bias=True, **more):
    d = x.dim() - 2
    w = p(f"{n}.weight", x.shape[1], out, *[k] * d)
    w = normed(n, w, 1) if spectral else w
    return (F.conv_transpose1d if d == 1 else F.conv_transpose2d)(x, w, p(f"{n}.bias", out) if bias else None, **more)


def same(n, x, out, k, stride=1, bias=True):
    """Padding so that the result has ceil(size/stride) places."""
    pads = []
    for size in reversed(x.shape[2:]):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    return conv(n, F.pad(x, pads), out, k, stride=stride, bias=bias)


def batch_norm(n, x, eps=1e-5, momentum=0.1, affine=True):
    mean, var = start(f"{n}.running_mean", torch.zeros(x.shape[1])), start(f"{n}.running_var", torch.ones(x.shape[1]))
    mean, var = mean.clone(), var.clone()
    w = p(f"{n}.weight", x.shape[1], like=1.0) if affine else None
    b = p(f"{n}.bias", x.shape[1]) if affine else None
    y = F.batch_norm(x, mean, var, w, b, True, momentum, eps)
    B[f"{n}.running_mean"], B[f"{n}.running_var"] = mean, var
    return y


def conditional_batch_norm(n, x, y, classes, **more):
    z = batch_norm(n, x, affine=False, **more)
    w, b = p(f"{n}.weight", classes, x.shape[1], like=1.0), p(f"{n}.bias", classes, x.shape[1])
    return F.embedding(y, w)[:, :, None, None] * z + F.embedding(y, b)[:, :, None, None]


def instance_norm(n, x, affine=False):
    w = p(f"{n}.weight", x.shape[1], like=1.0) if affine else None
    return F.instance_norm(x, weight=w, bias=p(f"{n}.bias", x.shape[1]) if affine else None)


def adam(**more):
    return lambda params: torch.optim.Adam(params, **more)


def sgd(lr):
    return lambda params: torch.optim.SGD(params, lr=lr)


# Systems.

def conditional():
    def G(z, y):
        h = torch.cat([z, F.embedding(y, p("G.embed_1.weight", 4, 5)), F.one_hot(y, 4).float()], 1)
        h = dense("G.dense_1", h, 32, spectral=True, bias=False).reshape(-1, 8, 2, 2)
        h = F.elu(conditional_batch_norm("G.conditional_batch_norm_1", h, y, 4))
        h = conv_t("G.conv_t_1", h, 6, 4, spectral=True, bias=False, stride=2, padding=1)
        h = F.elu(conditional_batch_norm("G.conditional_batch_norm_2", h, y, 4, momentum=0.3, eps=1e-3))
        return torch.tanh(conv_t("G.conv_t_2", h, 3, 4, stride=2, padding=1))

    def attention(n, x):
        flat = lambda k, c: F.conv2d(x, p(f"{n}.{k}_weight", c, x.shape[1], 1, 1), p(f"{n}.{k}_bias", c)).flatten(2)
        q, k, v = flat("query", x.shape[1] // 4), flat("key", x.shape[1] // 4), flat("value", x.shape[1])
        seen = v @ torch.softmax(q.transpose(1, 2) @ k, 2).transpose(1, 2)
        return x + p(f"{n}.gamma", 1) * seen.reshape(x.shape)

    def body(x):
        h = attention("B.self_attention_1", F.silu(conv("B.conv_1", x, 8, 3, spectral=True, stride=2, padding=1)))
        h = F.group_norm(h, 2, p("B.group_norm_1.weight", 8, like=1.0), p("B.group_norm_1.bias", 8))
        return F.silu(dense("B.dense_1", h.flatten(1), 12))

    def project(h, y):
        n = "P.project_1"
        plain = F.linear(h, p(f"{n}.weight", 1, 12), p(f"{n}.bias", 1))
        return plain + (F.embedding(y, p(f"{n}.embedding", 4, 12)) * h).sum(1, keepdim=True)

    classify = lambda h: dense("C.dense_1", h, 4, spectral=True)

    def critic(f, s, _):
        y = f["y"].long()
        real, fake = body(f["x"]), body(s["fake"])
        return F.softplus(-project(real, y)).mean() + F.softplus(project(fake, y)).mean() + F.cross_entropy(classify(real), y)

    def generator(f, s, _):
        y = f["y"].long()
        fake = body(s["fake"])
        c = classify(fake)
        return (
            F.softplus(-project(fake, y)).mean() + F.cross_entropy(c, y)
            + 0.1 * F.mse_loss(c, F.one_hot(y, 4).float())
        )

    feeds = {"x": images(3, 6, 3, 8, 8), "y": torch.randint(0, 4, (3, 6)).float(), "z": torch.randn(3, 6, 6)}
    play("conditional", {"B,P,C": ("BPC", critic, sgd(0.01)), "G": ("G", generator, adam(lr=1e-3))},
         lambda f: {"fake": G(f["z"], f["y"].long())}, feeds)


def cycle():
    def G(a):
        h = F.elu(instance_norm("", conv("G.conv_1", F.pad(a, [3] * 4, mode="reflect"), 4, 7, bias=False)))
        h = F.elu(instance_norm("G.instance_norm_2", conv("G.conv_2", h, 8, 3, bias=False, stride=2, padding=1), affine=True))
        r = F.elu(instance_norm("", conv("G.conv_3", F.pad(h, [1] * 4, mode="reflect"), 8, 3, bias=False)))
        h = h + instance_norm("", conv("G.conv_4", F.pad(r, [1] * 4, mode="replicate"), 8, 3, bias=False))
        h = F.elu(conv_t("G.conv_t_1", h, 4, 3, stride=2, padding=1, output_padding=1))
        return torch.tanh(same("G.conv_5", h, 3, 3))

    back = lambda b: torch.tanh(conv("F.conv_2", F.elu(same("F.conv_1", b, 6, 4)), 3, 3, padding=1))
    D = lambda b: conv("DB.conv_2", F.leaky_relu(conv("DB.conv_1", b, 4, 4, stride=2, padding=1), 0.2), 1, 3, padding=1)
    memory = {}

    def history(x, draws):
        """Each sample, or the one that lies at its place, which it then replaces."""
        out = []
        for sample, row in zip(x, draws):
            place, coin = int(row[:-1].argmax()), row[-1] > 0
            old = memory.get(place)
            out.append(old if old is not None and coin else sample)
            if old is None or coin:
                memory[place] = sample.detach().clone()
        return torch.stack(out)

    def generators(f, s, step):
        a, b, fake = f["a"], f["b"], s["fake"]
        cycled = (back(fake) - a).abs().mean() + (G(back(b)) - b).abs().mean()
        identity = (G(b) - b).abs().mean() if step < 2 else 0
        return ((D(fake) - 1) ** 2).mean() + 10 * cycled + 5 * identity

    def critic(f, s, _):
        # G has learned: what it makes of `a` is new.
        fake = history(G(f["a"]), f["history.1"]) if s["go"] else G(f["a"])
        return 0.5 * ((D(f["b"]) - 1) ** 2).mean() + 0.5 * (D(fake) ** 2).mean()

    draws = torch.zeros(3, 2, 6)
    # In the second step one sample meets a filled place and a coin, in the third one meets a filled place without.
    for step, places in enumerate([[(1, 1), (3, 0)], [(3, 1), (0, 0)], [(1, 0), (0, 1)]]):
        for i, (place, coin) in enumerate(places):
            draws[step, i, place], draws[step, i, 5] = 1, coin
    feeds = {"a": images(3, 2, 3, 8, 8), "b": images(3, 2, 3, 8, 8), "history.1": draws}
    runs = [0]

    def fresh(f):
        # The dry run, one call for each player, must not fill the memory.
        runs[0] += 1
        return {"fake": G(f["a"]), "go": runs[0] > 2}

    play("cycle", {"G,F": ("GF", generators, sgd(0.01)), "DB": (["DB"], critic, adam(lr=1e-3, betas=(0.5, 0.999)))}, fresh, feeds)


def voice():
    def gate(n, x, c, k, s):
        return F.glu(F.instance_norm(same(n, x, 2 * c, k, s, bias=False)), 1)

    def shuffle(x, r):
        n, c, t = x.shape
        return x.reshape(n, c // r, r, t).permute(0, 1, 3, 2).reshape(n, c // r, t * r)

    def G(z):
        h = F.glu(same("G.conv_1", z, 8, 5), 1)
        h = gate("G.conv_3", gate("G.conv_2", h, 6, 5, 2), 8, 4, 2)
        h = h + F.instance_norm(same("G.conv_5", gate("G.conv_4", h, 4, 3, 1), 8, 3, bias=False))
        h = F.glu(F.instance_norm(shuffle(same("G.conv_6", h, 16, 5, bias=False), 2)), 1)
        return conv_t("G.conv_t_1", h, 6, 4, stride=2, padding=1)

    def D(x):
        h = F.pad(F.pad(F.glu(same("D.conv_1", x, 8, 3), 1), [2, 2], mode="replicate"), [1, 1], mode="reflect")
        return conv("D.conv_3", gate("D.conv_2", h, 6, 3, 2), 1, 3, spectral=True, padding=1)

    critic = lambda f, s, _: ((D(f["z"]) - 1) ** 2).mean() + (D(s["fake"]) ** 2).mean()
    maker = lambda f, s, _: ((D(s["fake"]) - 1) ** 2).mean() + (s["fake"] - f["z"]).abs().mean()
    play("voice", {"D": ("D", critic, adam(lr=1e-3, betas=(0.5, 0.999))), "G": ("G", maker, sgd(0.05))},
         lambda f: {"fake": G(f["z"])}, {"z": torch.randn(3, 3, 6, 16)})


def style():
    scale = lambda fan, gain=2**0.5: gain / fan**0.5

    def fc(n, x, out, gain=2**0.5, lr_mul=1.0):
        w, b = p(f"{n}.weight", out, x.shape[1]), p(f"{n}.bias", out)
        return F.linear(x, w * (scale(x.shape[1], gain) * lr_mul), b * lr_mul)

    def con(n, x, out, k, gain=2**0.5, bias=True):
        w = p(f"{n}.weight", out, x.shape[1], k, k)
        return F.conv2d(x, w * scale(x.shape[1] * k * k, gain), p(f"{n}.bias", out) if bias else None, padding=k // 2)

    def blur(x):
        k = torch.tensor([1.0, 2.0, 1.0]) / 4
        k = (k[:, None] * k[None, :]).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(x, k, padding=1, groups=x.shape[1])

    def mapping(z):
        h = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
        h = F.leaky_relu(fc("M.dense_1", h, 9, lr_mul=0.01), 0.2)
        return F.leaky_relu(fc("M.dense_2", h, 7, lr_mul=0.01), 0.2)

    def synthesis(w, f):
        count = [0]

        def styled(h):
            count[0] += 1
            i, c = count[0], h.shape[1]
            h = h + p(f"S.noise_inject_{i}.weight", c)[:, None, None] * f[f"noise.{i}"].permute(0, 1, 2, 3)
            h = F.leaky_relu(h + p(f"S.bias_{i}.bias", c)[:, None, None], 0.2)
            h = F.instance_norm(h, eps=1e-8)
            st = F.linear(w[i - 1], p(f"S.adain_{i}.weight", 2 * c, 7) / 7**0.5, p(f"S.adain_{i}.bias", 2 * c))
            return h * (1 + st[:, :c, None, None]) + st[:, c:, None, None]

        h = styled(p("S.const_1.weight", 8, 4, 4, like=1.0).expand(8, 8, 4, 4))
        h = styled(con("S.conv_1", h, 8, 3, bias=False))
        h = styled(blur(con("S.conv_2", F.interpolate(h, scale_factor=2), 6, 3, bias=False)))
        return con("S.conv_3", h, 3, 1, gain=1.0)

    def D(x):
        h = blur(F.silu(con("D.conv_1", x, 6, 3)))
        h = F.avg_pool2d(F.silu(con("D.conv_2", h, 8, 3)), 2)
        n = h.shape[0]
        g = h.reshape(4, n // 4, -1)
        dev = (g.var(0, unbiased=False) + 1e-8).sqrt().mean(1).repeat(4)
        h = torch.cat([h, dev[:, None, None, None].expand(n, 1, *h.shape[2:])], 1)
        h = F.silu(con("D.conv_3", h, 8, 3))
        return fc("D.dense_1", h.flatten(1), 1, gain=1.0)

    def fake(f):
        a, b, u = mapping(f["z"]), mapping(f["z2"]), f["mix_styles.1"]
        cross = 1 + torch.floor(u[:, 1] * 2)
        ws = [torch.where(((u[:, 0] < 0.9) & (cross <= k))[:, None], b, a) for k in range(3)]
        return synthesis(ws, f)

    def critic(f, s, step):
        loss = F.softplus(D(s["fake"])).mean() + F.softplus(-D(f["x"])).mean()
        if step % 2 == 0:
            x = f["x"].clone().requires_grad_()
            (g,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
            loss = loss + 0.5 * 2 * g.square().flatten(1).sum(1).mean()
        return loss

    maker = lambda f, s, _: F.softplus(-D(s["fake"])).mean()
    noise = {f"noise.{i}": torch.randn(3, 8, 1, r, r) for i, r in [(1, 4), (2, 4), (3, 8)]}
    feeds = {"x": images(3, 8, 3, 8, 8), "z": torch.randn(3, 8, 6), "z2": torch.randn(3, 8, 6), "mix_styles.1": torch.rand(3, 8, 2)}
    play("style", {"D": ("D", critic, adam(lr=1e-3, betas=(0.0, 0.99))), "M,S": ("MS", maker, sgd(0.1))},
         lambda f: {"fake": fake(f)}, feeds | noise)


def vae():
    def objective(f, s, _):
        t = F.softplus(dense("Enc.dense_1", f["x"].flatten(1), 20))
        mu, logvar = dense("Enc.dense_2", t, 4), dense("Enc.dense_3", t, 4)
        code = mu + torch.exp(0.5 * logvar) * f["eps"]
        y = torch.sigmoid(dense("Dec.dense_2", F.silu(dense("Dec.dense_1", code, 20)), 64))
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
        return F.binary_cross_entropy(y, f["x"].flatten(1), reduction="none").sum(1).mean() + kl

    x = (images(3, 6, 1, 8, 8) + 1) / 2
    play("vae", {"Enc,Dec": (["Enc", "Dec"], objective, adam(lr=1e-3))}, lambda f: {}, {"x": x, "eps": torch.randn(3, 6, 4)})


def text():
    def encode(n, t, k):
        table = p(f"{n}.embed_1.weight", 17, 6)
        count = (t > 0).sum(1, keepdim=True).clamp(min=1)
        mean = F.embedding_bag(t, table, mode="mean", padding_idx=0)
        assert torch.allclose(mean, F.embedding(t, table).mul((t > 0)[..., None]).sum(1) / count, atol=1e-6)
        return F.silu(dense(f"{n}.dense_{k}", mean, 7))

    def G(z, t):
        h = torch.cat([z, encode("G", t, 1)], 1)
        h = F.elu(batch_norm("G.batch_norm_1", dense("G.dense_2", h, 32).reshape(-1, 8, 2, 2)))
        h = F.elu(batch_norm("G.batch_norm_2", conv("G.conv_1", F.interpolate(h, scale_factor=2), 6, 3, bias=False, padding=1)))
        return torch.tanh(conv("G.conv_2", F.interpolate(h, scale_factor=2), 3, 3, padding=1))

    def D(x, t):
        h = F.silu(conv("D.conv_1", x, 6, 4, stride=2, padding=1))
        h = torch.cat([h, encode("D", t, 1)[:, :, None, None].expand(-1, -1, 4, 4)], 1)
        h = F.silu(conv("D.conv_2", h, 8, 1))
        return conv("D.conv_3", torch.cat([h, h.chunk(2, 1)[1]], 1), 1, 4).flatten(1)

    def critic(f, s, _):
        t, other = f["t"].long(), f["other"].long()
        return (
            -F.logsigmoid(D(f["x"], t)).mean() - 0.5 * F.logsigmoid(-D(s["fake"], t)).mean()
            - 0.5 * F.logsigmoid(-D(f["x"], other)).mean()
        )

    maker = lambda f, s, _: -F.logsigmoid(D(s["fake"], f["t"].long())).mean()
    words = lambda: torch.where(torch.rand(3, 6, 6) < 0.3, 0, torch.randint(1, 17, (3, 6, 6))).float()
    feeds = {"x": images(3, 6, 3, 8, 8), "t": words(), "other": words(), "z": torch.randn(3, 6, 5)}
    play("text", {"D": ("D", critic, adam(lr=1e-3)), "G": ("G", maker, sgd(0.1))}, lambda f: {"fake": G(f["z"], f["t"].long())}, feeds)


def dropped(x, p, draws):
    """torch.nn.functional.dropout with given uniform numbers: what is below `p` is dropped."""
    return torch.where(draws >= p, x / (1 - p), 0.0)


def pix2pix():
    down = lambda n, k, x, c, **more: batch_norm(f"{n}.batch_norm_{k}", conv(f"{n}.conv_{k + 1}", x, c, 4, bias=False, **more))
    half = {"stride": 2, "padding": 1}

    def G(a, draws):
        up = lambda k, x, c: batch_norm(f"G.batch_norm_{k + 2}", conv_t(f"G.conv_t_{k}", x, c, 4, bias=False, **half))
        e1 = conv("G.conv_1", a, 4, 4, **half)
        e2 = down("G", 1, F.elu(e1), 6, **half)
        h = down("G", 2, F.elu(e2), 8, **half)
        h = torch.cat([dropped(up(1, F.elu(h), 6), 0.5, draws), e2], 1)
        h = torch.cat([up(2, F.elu(h), 4), e1], 1)
        return torch.tanh(conv_t("G.conv_t_3", F.elu(h), 3, 4, **half))

    def D(a, b):
        h = F.silu(conv("D.conv_1", torch.cat([a, b], 1), 4, 4, **half))
        h = F.silu(down("D", 1, h, 6, **half))
        h = F.silu(down("D", 2, h, 8, padding=1))
        return conv("D.conv_4", h, 1, 4, padding=1)

    def critic(f, s, _):
        return -0.5 * F.logsigmoid(D(f["a"], f["b"])).mean() - 0.5 * F.logsigmoid(-D(f["a"], s["fake"])).mean()

    def maker(f, s, _):
        return -F.logsigmoid(D(f["a"], s["fake"])).mean() + 10 * (s["fake"] - f["b"]).abs().mean()

    b = images(3, 4, 3, 16, 16)
    feeds = {"a": b.mean(2, keepdim=True), "b": b, "dropout.1": torch.rand(3, 4, 6, 4, 4)}
    play("pix2pix", {"D": ("D", critic, adam(lr=1e-3, betas=(0.5, 0.999))), "G": ("G", maker, sgd(0.01))},
         lambda f: {"fake": G(f["a"], f["dropout.1"])}, feeds)


def cgan():
    def G(z, y):
        h = torch.cat([z, F.embedding(y, p("G.embed_1.weight", 10, 5))], 1)
        h = F.elu(batch_norm("G.batch_norm_1", dense("G.dense_1", h, 24, bias=False)))
        return torch.tanh(dense("G.dense_2", h, 64)).reshape(-1, 1, 8, 8)

    def D(x, y, f, k):
        h = torch.cat([x.flatten(1), F.embedding(y, p("D.embed_1.weight", 10, 5))], 1)
        h = dropped(F.elu(dense("D.dense_1", h, 16)), 0.3, f[f"dropout.{k}"])
        h = dropped(F.silu(dense("D.dense_2", h, 8)), 0.2, f[f"dropout.{k + 1}"])
        return dense("D.dense_3", h, 1)

    def critic(f, s, _):
        y = f["y"].long()
        return -F.logsigmoid(D(f["x"], y, f, 1)).mean() - F.logsigmoid(-D(s["fake"], y, f, 3)).mean()

    maker = lambda f, s, _: -F.logsigmoid(D(s["fake"], f["y"].long(), f, 5)).mean()
    draws = {f"dropout.{k}": torch.rand(3, 6, 16 if k % 2 else 8) for k in range(1, 7)}
    feeds = {"x": images(3, 6, 1, 8, 8), "y": torch.randint(0, 10, (3, 6)).float(), "z": torch.randn(3, 6, 6)}
    play("cgan", {"D": ("D", critic, adam(lr=1e-3, betas=(0.5, 0.999))), "G": ("G", maker, sgd(0.1))},
         lambda f: {"fake": G(f["z"], f["y"].long())}, feeds | draws)


def sngan():
    f = 3

    def G(z):
        h = dense("G.dense_1", z, 4 * f * 16).reshape(-1, 4 * f, 4, 4)
        h = F.elu(batch_norm("G.batch_norm_1", conv_t("G.conv_t_1", h, 2 * f, 4, bias=False, stride=2, padding=1)))
        return torch.tanh(F.pixel_shuffle(conv("G.conv_1", h, 12, 3, padding=1), 2))

    def D(x):
        for i, k in [(1, 1), (3, 2)]:
            x = F.silu(conv(f"D.conv_{i}", x, k * f, 3, spectral=True, padding=1))
            x = F.silu(conv(f"D.conv_{i + 1}", x, 2 * k * f, 4, spectral=True, stride=2, padding=1))
        return dense("D.dense_1", x.flatten(1), 1, spectral=True)

    critic = lambda f, s, _: F.relu(1 - D(f["x"])).mean() + F.relu(1 + D(s["fake"])).mean()
    play("sngan", {"D": ("D", critic, adam(lr=1e-3, betas=(0.0, 0.9))), "G": ("G", lambda f, s, _: -D(s["fake"]).mean(), sgd(0.1))},
         lambda f: {"fake": G(f["z"])}, {"x": images(3, 6, 3, 16, 16), "z": torch.randn(3, 6, 6)})


def projection():
    f = 4

    def G(z, y):
        norm = lambda i, h: F.elu(conditional_batch_norm(f"G.conditional_batch_norm_{i}", h, y, 10))
        h = norm(1, dense("G.dense_1", z, 2 * f * 16, bias=False).reshape(-1, 2 * f, 4, 4))
        h = norm(2, conv_t("G.conv_t_1", h, f, 4, bias=False, stride=2, padding=1))
        return torch.tanh(conv_t("G.conv_t_2", h, 1, 4, stride=2, padding=1))

    def D(x, y):
        for i in [1, 2]:
            x = F.silu(conv(f"D.conv_{i}", x, i * f, 4, spectral=True, stride=2, padding=1))
        h, n = x.flatten(1), "D.project_1"
        plain = F.linear(h, p(f"{n}.weight", 1, h.shape[1]), p(f"{n}.bias", 1))
        return plain + (F.embedding(y, p(f"{n}.embedding", 10, h.shape[1])) * h).sum(1, keepdim=True)

    def critic(f, s, _):
        y = f["y"].long()
        return F.relu(1 - D(f["x"], y)).mean() + F.relu(1 + D(s["fake"], y)).mean()

    maker = lambda f, s, _: -D(s["fake"], f["y"].long()).mean()
    feeds = {"x": images(3, 6, 1, 16, 16), "y": torch.randint(0, 10, (3, 6)).float(), "z": torch.randn(3, 6, 6)}
    play("projection", {"D": ("D", critic, adam(lr=1e-3, betas=(0.0, 0.9))), "G": ("G", maker, sgd(0.1))},
         lambda f: {"fake": G(f["z"], f["y"].long())}, feeds)


def cvae():
    def objective(f, s, _):
        y = F.one_hot(f["y"].long(), 10).float()
        t = F.silu(dense("Enc.dense_1", torch.cat([f["x"].flatten(1), y], 1), 20))
        mu, logvar = dense("Enc.dense_2", t, 4), dense("Enc.dense_3", t, 4)
        code = torch.cat([mu + torch.exp(0.5 * logvar) * f["eps"], y], 1)
        shown = torch.sigmoid(dense("Dec.dense_2", F.silu(dense("Dec.dense_1", code, 20)), 64))
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
        return F.binary_cross_entropy(shown, f["x"].flatten(1), reduction="none").sum(1).mean() + kl

    feeds = {"x": (images(3, 6, 1, 8, 8) + 1) / 2, "y": torch.randint(0, 10, (3, 6)).float(), "eps": torch.randn(3, 6, 4)}
    play("cvae", {"Enc,Dec": (["Enc", "Dec"], objective, adam(lr=1e-3))}, lambda f: {}, feeds)


def grow():
    # The stage begins at step 1, of which it shows nothing, then a third more in every step.
    shown = lambda step: max(0, step - 1) / 3
    fade = lambda old, new, part: old + part * (new - old)
    twice = lambda x: F.interpolate(x, scale_factor=2)

    def G(z, part):
        h = dense("G.dense_1", z, 96).reshape(-1, 6, 4, 4)
        h8 = F.elu(conv("G.r8.conv_1", twice(h), 6, 3, padding=1))
        h16 = F.elu(conv("G.r16.conv_1", twice(h8), 6, 3, padding=1))
        return fade(twice(conv("G.to_image_8.conv_1", h8, 3, 1)), conv("G.to_image_16.conv_1", h16, 3, 1), part)

    def D(x, part):
        seen = lambda r, x: F.silu(conv(f"D.from_image_{r}.conv_1", x, 6, 1))
        down = lambda r, h: F.avg_pool2d(F.silu(conv(f"D.r{r}.conv_1", h, 6, 3, padding=1)), 2)
        h = fade(seen(8, F.avg_pool2d(x, 2)), down(16, seen(16, x)), part)
        return dense("D.dense_1", down(8, h).flatten(1), 1)

    def critic(f, s, step):
        x = fade(twice(F.avg_pool2d(f["x"], 2)), f["x"], shown(step))
        return F.softplus(D(s["fake"], shown(step))).mean() + F.softplus(-D(x, shown(step))).mean()

    runs = [0]

    def fresh(f):
        # Two dry runs come first.
        runs[0] += 1
        return {"fake": G(f["z"], shown(runs[0] - 3))}

    maker = lambda f, s, step: F.softplus(-D(s["fake"], shown(step))).mean()
    play("grow", {"D": ("D", critic, adam(lr=1e-3, betas=(0.0, 0.99))), "G": ("G", maker, sgd(0.1))}, fresh,
         {"x": images(4, 4, 3, 16, 16), "z": torch.randn(4, 4, 6)}, steps=4, born=lambda name: int("16" in name.split(".")[1]))


CASES = [conditional, cycle, voice, style, vae, text, pix2pix, cgan, sngan, projection, cvae, grow]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        if not sys.argv[1:] or case.__name__ in sys.argv[1:]:
            torch.manual_seed(3)
            reset()
            case()
