"""The systems of the comparison, written once over a few operations that each peer brings (`o`): layouts, defaults and losses are those of the
`.gan` file of the same name beside this one.

A system has nets (functions of their weights, which come in the order in which ganc lists them), players with objectives, and what they share.
`o.shared` is False where a peer computes the generated samples anew for every player.
"""


class Weights:
    """Takes the weights of a net one by one."""

    def __init__(self, tensors):
        self.rest = iter(tensors)

    def take(self, n=1):
        return [next(self.rest) for _ in range(n)]


def dense(o, p, x):
    w, b = p.take(2)
    return o.dense(x, w, b)


def conv(o, p, x, stride=1, pad=0, bias=True):
    w, b = p.take(2) if bias else [*p.take(), None]
    return o.conv(x, w, b, stride, pad)


def conv_t(o, p, x, stride=1, pad=0, out_pad=0, bias=True):
    w, b = p.take(2) if bias else [*p.take(), None]
    return o.conv_t(x, w, b, stride, pad, out_pad)


def batch_norm(o, p, x):
    return o.batch_norm(x, *p.take(2))


class System:
    """`nets`: name -> function(o, weights, *inputs). `players`: name -> (its nets, objective(run, feeds, shared))."""

    sample = None
    second_order = False
    optimizer = {"lr": 2e-4, "betas": (0.5, 0.999)}
    image = True

    def shared(self, run, f):
        return {}


class Gan(System):
    """Two players, non-saturating."""

    players = {"D": ["D"], "G": ["G"]}

    def shared(self, run, f):
        return {"fake": run("G", f["z"])}

    def objective(self, o, player, run, f, s):
        if player == "D":
            return o.mean(o.softplus(-run("D", f["x"]))) + o.mean(o.softplus(run("D", o.detach(s["fake"]))))
        return o.mean(o.softplus(-run("D", s["fake"])))

    def sample(self, run, f):
        return run("G", f["z"])


class Ring(Gan):
    optimizer = {"lr": 1e-3, "betas": (0.5, 0.999)}
    image = False

    def net(self, o, name, p, x):
        for _ in range(2):
            x = o.relu(dense(o, p, x))
        return dense(o, p, x)


class Mlp(Gan):
    image = False

    def net(self, o, name, p, x):
        x = o.flatten(x)
        for _ in range(3):
            x = o.leaky_relu(dense(o, p, x))
        x = dense(o, p, x)
        return o.reshape(o.tanh(x), (-1, 1, 28, 28)) if name == "G" else x


class Cgan(Gan):
    image = False

    def net(self, o, name, p, x, y):
        x = o.cat([o.flatten(x), o.embed(p.take()[0], y)])
        for _ in range(2):
            x = dense(o, p, x)
            x = o.leaky_relu(batch_norm(o, p, x) if name == "G" else x)
        x = dense(o, p, x)
        return o.reshape(o.tanh(x), (-1, 1, 28, 28)) if name == "G" else x

    def shared(self, run, f):
        return {"fake": run("G", f["z"], f["y"])}

    def objective(self, o, player, run, f, s):
        y = f["y"]
        if player == "D":
            return o.mean(o.softplus(-run("D", f["x"], y))) + o.mean(o.softplus(run("D", o.detach(s["fake"]), y)))
        return o.mean(o.softplus(-run("D", s["fake"], y)))

    def sample(self, run, f):
        return run("G", f["z"], f["y"])


class Dcgan(Gan):
    def __init__(self, layers):
        self.layers = layers

    def net(self, o, name, p, x):
        if name == "G":
            x = o.relu(batch_norm(o, p, conv_t(o, p, o.reshape(x, (-1, 100, 1, 1)), bias=False)))
            for _ in range(self.layers):
                x = o.relu(batch_norm(o, p, conv_t(o, p, x, 2, 1, bias=False)))
            return o.tanh(conv_t(o, p, x, 2, 1, bias=False))
        x = o.leaky_relu(conv(o, p, x, 2, 1, bias=False))
        for _ in range(self.layers):
            x = o.leaky_relu(batch_norm(o, p, conv(o, p, x, 2, 1, bias=False)))
        return o.flatten(conv(o, p, x, bias=False))


class WganGp(Gan):
    second_order = True
    optimizer = {"lr": 1e-4, "betas": (0.0, 0.9)}

    def net(self, o, name, p, x):
        if name == "G":
            x = o.relu(batch_norm(o, p, o.reshape(dense(o, p, x), (-1, 256, 4, 4))))
            for _ in range(2):
                x = o.relu(batch_norm(o, p, conv_t(o, p, x, 2, 1, bias=False)))
            return o.tanh(conv_t(o, p, x, 2, 1))
        for _ in range(3):
            x = o.leaky_relu(conv(o, p, x, 2, 1))
        return dense(o, p, o.flatten(x))

    def objective(self, o, player, run, f, s):
        if player == "G":
            return -o.mean(run("D", s["fake"]))
        fake, u = o.detach(s["fake"]), o.reshape(f["u"], (-1, 1, 1, 1))
        g = o.flatten(o.grad(lambda x: run("D", x), u * f["x"] + (1 - u) * fake))
        return o.mean(run("D", fake)) - o.mean(run("D", f["x"])) + 10 * o.mean((o.sqrt(o.sum(g * g, 1)) - 1) ** 2)


class Cyclegan(System):
    players = {"DA": ["DA"], "DB": ["DB"], "G,F": ["G", "F"]}

    def net(self, o, name, p, x):
        norm = o.instance_norm
        if name in "GF":
            x = o.relu(norm(conv(o, p, o.reflect_pad(x, 3))))
            for _ in range(2):
                x = o.relu(norm(conv(o, p, x, 2, 1)))
            for _ in range(6):
                h = o.relu(norm(conv(o, p, o.reflect_pad(x, 1))))
                x = x + norm(conv(o, p, o.reflect_pad(h, 1)))
            for _ in range(2):
                x = o.relu(norm(conv_t(o, p, x, 2, 1, 1)))
            return o.tanh(conv(o, p, o.reflect_pad(x, 3)))
        x = o.leaky_relu(conv(o, p, x, 2, 1))
        for stride in [2, 2, 1]:
            x = o.leaky_relu(norm(conv(o, p, x, stride, 1)))
        return conv(o, p, x, 1, 1)

    def shared(self, run, f):
        return {"b": run("G", f["a"]), "a": run("F", f["b"])}

    def objective(self, o, player, run, f, s):
        if player != "G,F":
            side = player[1].lower()
            return 0.5 * o.mean((run(player, f[side]) - 1) ** 2) + 0.5 * o.mean(run(player, o.detach(s[side])) ** 2)
        l1 = lambda x, y: o.mean(o.abs(x - y))
        fooled = o.mean((run("DB", s["b"]) - 1) ** 2) + o.mean((run("DA", s["a"]) - 1) ** 2)
        cycled = l1(run("F", s["b"]), f["a"]) + l1(run("G", s["a"]), f["b"])
        return fooled + 10 * cycled + 5 * (l1(run("G", f["b"]), f["b"]) + l1(run("F", f["a"]), f["a"]))

    def sample(self, run, f):
        return run("G", f["a"])


class Stylegan(System):
    players = {"D": ["D"], "M,S": ["M", "S"]}
    second_order = True
    optimizer = {"lr": 2e-3, "betas": (0.0, 0.99)}
    gain = 2**0.5

    def dense(self, o, p, x, gain=2**0.5, lr_mul=1.0):
        w, b = p.take(2)
        return o.dense(x, w * (gain / w.shape[1] ** 0.5 * lr_mul), b * lr_mul)

    def conv(self, o, p, x, gain=2**0.5, bias=True):
        w, b = p.take(2) if bias else [*p.take(), None]
        fan = w.shape[1] * w.shape[2] * w.shape[3]
        return o.conv(x, w * (gain / fan**0.5), b, 1, w.shape[2] // 2)

    def net(self, o, name, p, *inputs):
        if name == "M":
            (x,) = inputs
            x = x / o.sqrt(o.mean(x * x, 1, True) + 1e-8)
            for _ in range(8):
                x = o.leaky_relu(self.dense(o, p, x, lr_mul=0.01))
            return x
        return self.synthesis(o, p, *inputs) if name == "S" else self.critic(o, p, *inputs)

    def synthesis(self, o, p, w, noises):
        noises = iter(noises)

        def styled(h):
            strength, bias, sw, sb = p.take(4)
            h = h + o.reshape(strength, (1, -1, 1, 1)) * next(noises)
            h = o.instance_norm(o.leaky_relu(h + o.reshape(bias, (1, -1, 1, 1))), 1e-8)
            s = o.reshape(o.dense(w, sw / sw.shape[1] ** 0.5, sb), (w.shape[0], 2, -1, 1, 1))
            return h * (1 + s[:, 0]) + s[:, 1]

        x = styled(o.expand(p.take()[0], w.shape[0]))
        x = styled(self.conv(o, p, x, bias=False))
        for _ in range(4):
            x = styled(o.blur(self.conv(o, p, o.upsample(x), bias=False)))
            x = styled(self.conv(o, p, x, bias=False))
        return self.conv(o, p, x, gain=1.0)

    def critic(self, o, p, x):
        x = o.leaky_relu(self.conv(o, p, x))
        for _ in range(4):
            x = o.blur(o.leaky_relu(self.conv(o, p, x)))
            x = o.avg_pool(o.leaky_relu(self.conv(o, p, x)))
        n, (h, w) = x.shape[0], x.shape[2:]
        groups = o.reshape(x, (4, n // 4, -1))
        off = groups - o.mean(groups, 0, True)
        dev = o.mean(o.sqrt(o.mean(off * off, 0) + 1e-8), 1)
        x = o.cat([x, o.reshape(o.repeat(dev, 4), (n, 1, 1, 1)) + 0 * x[:, :1]])
        x = o.leaky_relu(self.conv(o, p, x))
        x = o.leaky_relu(self.dense(o, p, o.flatten(x)))
        return self.dense(o, p, x, gain=1.0)

    def noises(self, f):
        return [f[f"noise.{i}"] for i in range(1, 11)]

    def shared(self, run, f):
        return {"fake": run("S", run("M", f["z"]), self.noises(f))}

    def objective(self, o, player, run, f, s):
        if player != "D":
            return o.mean(o.softplus(-run("D", s["fake"])))
        loss = o.mean(o.softplus(run("D", o.detach(s["fake"])))) + o.mean(o.softplus(-run("D", f["x"])))
        g = o.flatten(o.grad(lambda x: run("D", x), f["x"]))
        return loss + 5 * o.mean(o.sum(g * g, 1))

    def sample(self, run, f):
        return run("S", run("M", f["z"]), self.noises(f))


class Vae(System):
    players = {"Enc,Dec": ["Enc", "Dec"]}
    optimizer = {"lr": 1e-3, "betas": (0.9, 0.999)}
    image = False

    def net(self, o, name, p, x):
        if name == "Enc":
            h = o.relu(dense(o, p, o.flatten(x)))
            return dense(o, p, h), dense(o, p, h)
        return dense(o, p, o.relu(dense(o, p, x)))

    def objective(self, o, player, run, f, s):
        mu, logvar = run("Enc", f["x"])
        y, x = run("Dec", mu + o.exp(0.5 * logvar) * f["eps"]), o.flatten(f["x"])
        kl = -0.5 * o.mean(o.sum(1 + logvar - mu * mu - o.exp(logvar), 1))
        return o.mean(o.sum(o.softplus(y) - x * y, 1)) + kl

    def sample(self, run, f):
        return run("Dec", f["eps"])


# Name -> (spec, overrides, batch, system, how many times faster the step should be).
CASES = {
    "ring": ("ring", {}, 256, Ring(), 2),
    "mlp": ("mlp", {}, 64, Mlp(), 1.3),
    "cgan": ("cgan", {}, 64, Cgan(), 1.5),
    "dcgan32": ("dcgan32", {}, 64, Dcgan(2), 1.9),
    "dcgan64": ("dcgan64", {}, 64, Dcgan(3), 1.9),
    "wgan_gp": ("wgan_gp", {}, 64, WganGp(), 2),
    "cyclegan64": ("cyclegan", {"let.size": 64}, 1, Cyclegan(), 2),
    "cyclegan128": ("cyclegan", {"let.size": 128}, 1, Cyclegan(), 2),
    "stylegan": ("stylegan", {}, 16, Stylegan(), 1.8),
    "vae": ("vae", {}, 128, Vae(), 1.5),
}
