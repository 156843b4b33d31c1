"""ganc beside PyTorch eager, in the same minutes on the same machine.

    cargo build --release && python tests/peers/bench.py [ring] [mlp] [dcgan] [--rounds N] [--threads N]

Needs torch. For each system PyTorch and `ganc bench --json` take turns (A B A B ...), so that a busy minute hits both; printed
are the medians over the rounds of the milliseconds of a training step, and how many times ganc's that of PyTorch is (above 1:
ganc is faster). The machine must be quiet: on a busy one the waiting threads of OpenMP cost PyTorch many times its step, and
the ratio says nothing. PyTorch trains as its users write it: eager, float32, both memory formats for images (the faster one counts),
fused Adam, the discriminator frozen in the generator's turn, the generator's forward pass shared by both turns.

- ring: specs/ring.gan, batch 256.
- mlp: specs/vanilla.gan without dropout, 100-256-512-1024-784 and back, batch 64.
- dcgan: specs/dcgan.gan, batch 64, f=64.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
GANC = ROOT / "target" / "release" / "ganc"
SECONDS = 3.0


def dense(sizes, act):
    return [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), act())]


def ring():
    g = nn.Sequential(*dense([2, 128, 128], nn.ReLU), nn.Linear(128, 2))
    d = nn.Sequential(*dense([2, 128, 128], nn.ReLU), nn.Linear(128, 1))
    # The zero-sum game: the generator minimises log(1 - D(G(z))).
    return g, d, lambda logits: -F.softplus(logits).mean(), torch.randn(256, 2), (256, 2), 1e-3


def mlp():
    leaky = lambda: nn.LeakyReLU(0.2)
    g = nn.Sequential(*dense([100, 256, 512, 1024], leaky), nn.Linear(1024, 784), nn.Tanh())
    d = nn.Sequential(*dense([784, 1024, 512, 256], leaky), nn.Linear(256, 1))
    return g, d, lambda logits: F.softplus(-logits).mean(), torch.rand(64, 784) * 2 - 1, (64, 100), 2e-4


def dcgan(nz=100, f=64):
    up = lambda i, o: [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(True)]
    down = lambda i, o: [nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2, True)]
    g = nn.Sequential(
        nn.Unflatten(1, (nz, 1, 1)),
        nn.ConvTranspose2d(nz, 8 * f, 4, bias=False), nn.BatchNorm2d(8 * f), nn.ReLU(True),
        *up(8 * f, 4 * f), *up(4 * f, 2 * f), *up(2 * f, f), nn.ConvTranspose2d(f, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(3, f, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True),
        *down(f, 2 * f), *down(2 * f, 4 * f), *down(4 * f, 8 * f), nn.Conv2d(8 * f, 1, 4, bias=False), nn.Flatten(),
    )
    return g, d, lambda logits: F.softplus(-logits).mean(), torch.rand(64, 3, 64, 64) * 2 - 1, (64, nz), 2e-4


def adam(net, lr):
    try:
        return torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.999), fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.999))


def stepper(make, channels_last):
    torch.manual_seed(1)
    g, d, g_loss, x, z, lr = make()
    if channels_last:
        g, d = g.to(memory_format=torch.channels_last), d.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    og, od = adam(g, lr), adam(d, lr)

    def step():
        fake = g(torch.randn(*z))
        d.requires_grad_(True)
        loss = F.softplus(-d(x)).mean() + F.softplus(d(fake.detach())).mean()
        od.zero_grad(set_to_none=True)
        loss.backward()
        od.step()
        d.requires_grad_(False)
        loss = g_loss(d(fake))
        og.zero_grad(set_to_none=True)
        loss.backward()
        og.step()

    for _ in range(3):
        step()
    return step


def timed(step):
    """Median milliseconds of a step over about SECONDS."""
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1e3)
    return statistics.median(times)


def ganc(name, threads):
    spec, batch = {"ring": ("ring", 256), "mlp": ("vanilla", 64), "dcgan": ("dcgan", 64)}[name]
    text = (ROOT / "specs" / f"{spec}.gan").read_text().replace(" | dropout(0.3)", "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{spec}.gan"
        path.write_text(text)
        command = [GANC, "bench", path, "--batch", str(batch), "--threads", str(threads), "--json"]
        if name == "dcgan":
            command += ["--set", "let.f=64"]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(report)["step_ms"]["median"]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("systems", nargs="*", metavar="SYSTEM", help="ring, mlp, dcgan; all when none is named")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=2)
    o = options.parse_args()
    torch.set_num_threads(o.threads)
    print(f"PyTorch {torch.__version__}, {o.threads} threads, {o.rounds} rounds; median ms of a step")
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"the machine is busy (load {load:.1f}): these numbers will say nothing")
    for name in o.systems or ["ring", "mlp", "dcgan"]:
        make = {"ring": ring, "mlp": mlp, "dcgan": dcgan}[name]
        peers = {"eager": stepper(make, False)}
        if name == "dcgan":
            peers["eager, channels_last"] = stepper(make, True)
        times = {k: [] for k in [*peers, "ganc"]}
        for _ in range(o.rounds):
            for k, step in peers.items():
                times[k].append(timed(step))
            times["ganc"].append(ganc(name, o.threads))
        medians = {k: statistics.median(v) for k, v in times.items()}
        best = min(medians[k] for k in peers)
        parts = [f"{k} {m:.2f} ({min(times[k]):.2f} to {max(times[k]):.2f})" for k, m in medians.items()]
        print(f"{name}: {', '.join(parts)}; PyTorch / ganc {best / medians['ganc']:.2f}", flush=True)


if __name__ == "__main__":
    main()
