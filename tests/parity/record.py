"""Records training steps of PyTorch for `tests/parity.rs`.

    python tests/parity/record.py [NAME ...]

Needs torch, numpy and safetensors. Each case lies in a folder beside this script: `spec.gan` says it in ganc's language, and
the function of its name below says it in PyTorch's. Written per case, as gzipped safetensors:

- `weights`: all parameters (and averages) before the first step, by ganc's names, in PyTorch's layouts;
- `feed`: data and noise by name, each [runs, batch, ...];
- `expected`: what `ganc replay` gives for them: `step.I.loss.PLAYER`, `step.I.grad.PARAM`, `param.NAME`, `buffer.NAME`, and
  `average.NAME` where there are averages.

To keep the files small, weights and feeds are numbers whose low 16 bits are zero, and gradients and the changes of parameters
(not the parameters) are 16-bit integers: the number is integer * scale, where the scale, the largest magnitude / 32767, is in
the metadata. So a recorded gradient is within 1.6e-5 of its largest entry of what PyTorch computed.
"""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save
from torch import nn

HERE = Path(__file__).parent
# At the kink of a ReLU rounding decides on which side a value falls, and two right programs disagree by a whole slope. So that
# this does not happen, seeds are tried until no activation is as near to its kink as rounding could move it.
MARGIN = 2e-6
WORDS = {
    nn.Linear: "dense",
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: "conv_t",
    nn.BatchNorm1d: "batch_norm",
    nn.BatchNorm2d: "batch_norm",
    nn.LayerNorm: "layer_norm",
    nn.PReLU: "prelu",
}


class Reshape(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)


def bf16(t):
    """The same number with fewer digits: its low 16 bits are zero."""
    return t.to(torch.bfloat16).to(torch.float32)


def named(net, prefix):
    """ganc's names of the modules that have tensors: by word, counted from 1."""
    count = Counter()
    for m in net.modules():
        if type(m) in WORDS:
            word = WORDS[type(m)]
            count[word] += 1
            yield f"{prefix}.{word}_{count[word]}", m


def params(nets):
    for n, net in nets.items():
        for name, m in named(net, n):
            for k, p in m.named_parameters(recurse=False):
                yield f"{name}.{k}", p


def buffers(nets):
    for n, net in nets.items():
        for name, m in named(net, n):
            for k, b in m.named_buffers(recurse=False):
                if k != "num_batches_tracked":
                    yield f"{name}.{k}", b


def small_weights(m):
    """The initialisation of DCGAN's reference code."""
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(m.weight, 0, 0.02)
    if isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1, 0.02)


def play(name, nets, optimizers, losses, feeds, steps=3, turns=1, ema=None, factor=None):
    """Trains and records. `losses[player](nets, feeds of the run, fake)`; D learns first, then G against the new D.
    In every run D takes a turn, in the last of a step's `turns` runs G as well. Gives the smallest distance of an activation
    from its kink, relative to the root mean square of its tensor."""
    margins = []

    def watch(module, inputs):
        x = inputs[0].detach()
        margins.append(float(x.abs().min() / x.square().mean().sqrt()))

    for net in nets.values():
        for m in net.modules():
            if isinstance(m, (nn.ReLU, nn.LeakyReLU, nn.PReLU)):
                m.register_forward_pre_hook(watch)
    with torch.no_grad():
        for _, p in params(nets):
            p.copy_(bf16(p))
    feeds = {k: bf16(v) for k, v in feeds.items()}
    start = {k: p.detach().clone() for k, p in params(nets)}
    weights = {k: v.numpy() for k, v in start.items()}
    average = {k: v.clone() for k, v in params({"G": nets["G"]})} if ema else {}
    weights |= {f"ema.{k}": v.detach().numpy().copy() for k, v in average.items()}
    out, ints, scales = {}, {}, {}

    def rounded(key, t):
        scale = float(t.abs().max()) / 32767 or 1.0
        ints[key] = np.round(t.numpy().astype(np.float64) / scale).astype(np.int16)
        scales[key] = scale

    schedulers = [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in optimizers.values()] if factor else []
    for step in range(steps):
        last = {}
        for turn in range(turns):
            feed = {k: v[step * turns + turn] for k, v in feeds.items()}
            fake = nets["G"](feed["z"])
            for player in ["D", "G"] if turn == turns - 1 else ["D"]:
                for net in nets.values():
                    net.zero_grad()
                loss = losses[player](nets["D"], feed, fake.detach() if player == "D" else fake)
                loss.backward(retain_graph=True)
                last[f"step.{step}.loss.{player}"] = loss.detach()
                for k, p in params({player: nets[player]}):
                    last[f"step.{step}.grad.{k}"] = p.grad.clone()
                optimizers[player].step()
        for k, v in last.items():
            if ".loss." in k:
                out[k] = v.numpy()
            else:
                rounded(k, v)
        for s in schedulers:
            s.step()
        if ema:
            # A short run's average is not made of its start.
            decay = min(ema, (1 + step) / (10 + step))
            for k, p in params({"G": nets["G"]}):
                average[k] = decay * average[k] + (1 - decay) * p.detach()
    for k, p in params(nets):
        rounded(f"param.{k}", p.detach() - start[k])
    for k, v in average.items():
        rounded(f"average.{k}", v.detach() - start[k])
    out |= {f"buffer.{k}": b.numpy() for k, b in buffers(nets)}
    folder = HERE / name
    for file, tensors, metadata in [
        ("weights", weights, None),
        ("feed", {k: v.numpy() for k, v in feeds.items()}, None),
        ("expected", out | ints, {"scales": json.dumps(scales)}),
    ]:
        data = save({k: v.copy(order="C") for k, v in tensors.items()}, metadata)
        (folder / f"{file}.safetensors.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(name, {k: float(v) for k, v in out.items() if ".loss." in k})
    return min(margins)


# Objectives. Logarithms of probabilities are taken of the logits, which is the same number with smaller rounding errors.

def non_saturating():
    return {
        "D": lambda D, f, fake: -F.logsigmoid(D(f["x"])).mean() - F.logsigmoid(-D(fake)).mean(),
        "G": lambda D, f, fake: -F.logsigmoid(D(fake)).mean(),
    }


def adam(nets, lr=2e-4, betas=(0.5, 0.999), **more):
    return {k: torch.optim.Adam(n.parameters(), lr=lr, betas=betas, **more) for k, n in nets.items()}


def images(runs, batch, *shape):
    """Smooth pictures in [-1, 1] with a little noise."""
    coarse = torch.randn(runs * batch, shape[0], 4, 4)
    x = F.interpolate(coarse, size=shape[1:], mode="bilinear") + 0.1 * torch.randn(runs * batch, *shape)
    return torch.tanh(x).reshape(runs, batch, *shape)


def mlp():
    def stack(sizes):
        return [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.LeakyReLU(0.2))]

    nets = {
        "G": nn.Sequential(*stack([16, 24, 32, 40]), nn.Linear(40, 784), nn.Tanh(), Reshape(1, 28, 28)),
        "D": nn.Sequential(nn.Flatten(), *stack([784, 40, 32, 24]), nn.Linear(24, 1)),
    }
    return play("mlp", nets, adam(nets), non_saturating(), {"x": images(3, 8, 1, 28, 28), "z": torch.randn(3, 8, 16)})


def digits():
    nz, f = 64, 8
    nets = {
        "G": nn.Sequential(
            Reshape(nz, 1, 1),
            nn.ConvTranspose2d(nz, 4 * f, 4, bias=False), nn.BatchNorm2d(4 * f), nn.ReLU(),
            nn.ConvTranspose2d(4 * f, 2 * f, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * f), nn.ReLU(),
            nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False), nn.BatchNorm2d(f), nn.ReLU(),
            nn.ConvTranspose2d(f, 1, 4, 2, 1), nn.Tanh(),
        ),
        "D": nn.Sequential(
            nn.Conv2d(1, f, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * f), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * f, 4 * f, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * f), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * f, 1, 4), nn.Flatten(),
        ),
    }
    for n in nets.values():
        n.apply(small_weights)
    feeds = {"x": images(3, 8, 1, 32, 32), "z": torch.randn(3, 8, nz)}
    return play("digits", nets, adam(nets), non_saturating(), feeds)


def dcgan():
    nz, f = 16, 16
    up = lambda i, o: [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
    down = lambda i, o: [nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2)]
    nets = {
        "G": nn.Sequential(
            Reshape(nz, 1, 1),
            nn.ConvTranspose2d(nz, 8 * f, 4, bias=False), nn.BatchNorm2d(8 * f), nn.ReLU(),
            *up(8 * f, 4 * f), *up(4 * f, 2 * f), *up(2 * f, f),
            nn.ConvTranspose2d(f, 3, 4, 2, 1, bias=False), nn.Tanh(),
        ),
        "D": nn.Sequential(
            nn.Conv2d(3, f, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            *down(f, 2 * f), *down(2 * f, 4 * f), *down(4 * f, 8 * f),
            nn.Conv2d(8 * f, 1, 4, bias=False), nn.Flatten(),
        ),
    }
    for n in nets.values():
        n.apply(small_weights)
    return play("dcgan", nets, adam(nets), non_saturating(), {"x": images(3, 4, 3, 64, 64), "z": torch.randn(3, 4, nz)})


def wgan_gp():
    f = 8
    nets = {
        "G": nn.Sequential(
            nn.Linear(16, 2 * f * 16), Reshape(2 * f, 4, 4), nn.BatchNorm2d(2 * f), nn.ReLU(),
            nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False), nn.BatchNorm2d(f), nn.ReLU(),
            nn.ConvTranspose2d(f, 3, 4, 2, 1), nn.Tanh(),
        ),
        "D": nn.Sequential(
            nn.Conv2d(3, f, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(f, 2 * f, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(2 * f * 16, 1),
        ),
    }

    def critic(D, feed, fake):
        u = feed["u"].reshape(-1, 1, 1, 1)
        between = (u * feed["x"] + (1 - u) * fake).requires_grad_()
        (grad,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
        penalty = ((grad.flatten(1).norm(dim=1) - 1) ** 2).mean()
        return D(fake).mean() - D(feed["x"]).mean() + 10 * penalty

    losses = {"D": critic, "G": lambda D, feed, fake: -D(fake).mean()}
    feeds = {"x": images(6, 8, 3, 16, 16), "z": torch.randn(6, 8, 16), "u": torch.rand(6, 8, 1)}
    return play("wgan_gp", nets, adam(nets, 1e-4, (0.0, 0.9)), losses, feeds, turns=2)


def plane(name, losses, optimizers, **more):
    """Two small nets on points in the plane."""
    nets = {
        "G": nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2)),
        "D": nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)),
    }
    feeds = {"x": 2 * torch.randn(4, 8, 2), "z": torch.randn(4, 8, 2)}
    return play(name, nets, {k: o(nets[k].parameters()) for k, o in optimizers.items()}, losses, feeds, steps=4, **more)


def minimax():
    value = lambda D, f, fake: F.logsigmoid(D(f["x"])).mean() + F.logsigmoid(-D(fake)).mean()
    o = lambda p: torch.optim.Adam(p, lr=1e-3, betas=(0.5, 0.999), weight_decay=0.1)
    return plane("minimax", {"D": lambda *a: -value(*a), "G": value}, {"D": o, "G": o})


def least_squares():
    losses = {
        "D": lambda D, f, fake: 0.5 * ((D(f["x"]) - 1) ** 2).mean() + 0.5 * (D(fake) ** 2).mean(),
        "G": lambda D, f, fake: 0.5 * ((D(fake) - 1) ** 2).mean(),
    }
    return plane("least_squares", losses, {
        "D": lambda p: torch.optim.RMSprop(p, lr=1e-3),
        "G": lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, eps=1e-6, momentum=0.9),
    })


def hinge_losses():
    return {
        "D": lambda D, f, fake: F.relu(1 - D(f["x"])).mean() + F.relu(1 + D(fake)).mean(),
        "G": lambda D, f, fake: -D(fake).mean(),
    }


def hinge():
    return plane("hinge", hinge_losses(), {
        "D": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
        "G": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    }, ema=0.1)


def softplus():
    losses = {
        "D": lambda D, f, fake: F.softplus(-D(f["x"])).mean() + F.softplus(D(fake)).mean(),
        "G": lambda D, f, fake: F.softplus(-D(fake)).mean(),
    }
    # Four steps: the rate rises over two and falls linearly to 0 at the end.
    factor = lambda step: min((step + 1) / 2, 1) * (4 - step) / 4
    return plane("softplus", losses, {
        "D": lambda p: torch.optim.AdamW(p, lr=1e-3, betas=(0.5, 0.999), weight_decay=0.1),
        "G": lambda p: torch.optim.SGD(p, lr=0.1),
    }, factor=factor)


def shake(nets):
    """Scales and shifts away from 1 and 0, so that they count."""
    with torch.no_grad():
        for _, p in params(nets):
            p.add_(0.1 * torch.randn_like(p))


def layers_g():
    nets = {
        "G": nn.Sequential(
            nn.Linear(12, 24), nn.BatchNorm1d(24, momentum=0.3, eps=1e-3), nn.ELU(0.7), Reshape(6, 2, 2),
            nn.Upsample(scale_factor=2), nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8, affine=False), nn.GELU(),
            nn.ConvTranspose2d(8, 6, (3, 5), stride=2, padding=(1, 2), output_padding=1), nn.LayerNorm([6, 8, 8]), nn.SiLU(),
            nn.Upsample(scale_factor=(1, 2), mode="bilinear"), nn.Conv2d(6, 6, (3, 1), padding=(1, 0)), nn.PReLU(6),
            nn.ConvTranspose2d(6, 5, (4, 3), stride=(2, 1), padding=1), nn.GELU(approximate="tanh"),
            nn.Conv2d(5, 3, 1), nn.Tanh(),
        ),
        "D": nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Softplus(), nn.Flatten(), nn.Linear(64, 1)),
    }
    shake(nets)
    feeds = {"x": images(3, 6, 3, 16, 16), "z": torch.randn(3, 6, 12)}
    # The biases in front of batch norms have gradients that are zero but for rounding: plain SGD leaves them where they are.
    optimizers = adam(nets, 1e-3) | {"G": torch.optim.SGD(nets["G"].parameters(), lr=0.1)}
    return play("layers_g", nets, optimizers, hinge_losses(), feeds)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 6, (3, 5), stride=(1, 2), padding=(1, 2)), nn.PReLU(),
            nn.MaxPool2d(3, stride=(2, 1), padding=1), nn.LayerNorm([6, 8, 8], elementwise_affine=False), nn.ELU(),
            nn.AvgPool2d(3, stride=2, padding=1), nn.Conv2d(6, 8, 2), nn.SiLU(),
            nn.MaxPool2d((3, 1)), nn.Conv2d(8, 8, 1),
        )
        self.second = nn.Sequential(
            nn.AvgPool2d((1, 2), stride=1), nn.Conv2d(16, 10, 1), nn.LeakyReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.LayerNorm(10), nn.Linear(10, 1),
        )

    def forward(self, x):
        h = self.first(x)
        return self.second(torch.cat([torch.sigmoid(h), h], 1))


def layers_d():
    nets = {
        "G": nn.Sequential(
            nn.Linear(12, 192), Reshape(3, 8, 8), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Tanh()
        ),
        "D": Critic(),
    }
    shake(nets)

    def critic(D, f, fake):
        return ((D(f["x"]) - 1) ** 2).mean() + (D(fake) + 1).abs().mean() + 0.1 * D(f["x"]).exp().mean()

    def generator(D, f, fake):
        return (
            (1 + D(fake) ** 2).sqrt().mean() + 0.5 * F.mse_loss(fake, f["x"]) + 0.1 * fake.abs().mean()
            + 0.01 * (fake**2).flatten(1).sum(1).mean()
        )

    feeds = {"x": images(3, 6, 3, 16, 16), "z": torch.randn(3, 6, 12)}
    return play("layers_d", nets, adam(nets, 1e-3), {"D": critic, "G": generator}, feeds)


CASES = [mlp, digits, dcgan, wgan_gp, minimax, least_squares, hinge, softplus, layers_g, layers_d]

if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        if not sys.argv[1:] or case.__name__ in sys.argv[1:]:
            for seed in range(1, 200):
                torch.manual_seed(seed)
                if case() > MARGIN:
                    break
