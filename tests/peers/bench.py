"""ganc beside its peers, in the same minutes on the same machine.

    cargo build --release && python tests/peers/bench.py [CASE ...] [--rounds N] [--threads N] [--without jax,compile] [--json FILE]

Needs torch, numpy, safetensors and, unless left out, jax. The systems are the `.gan` files beside this script; `models.py` holds the same for
the peers. For each, all sides first train two steps from the same weights on the same data, and their losses must agree. Then they take turns
of about a second (A B A B ...), so that a busy second hits all; printed are medians over the rounds of the milliseconds of a training step, of a
drawing of 64 samples and of one, from given noise, and the median over the rounds of the fastest peer's time divided by ganc's in the same round.
Peers: PyTorch eager in both memory formats, torch.compile (first-order systems: it has no second derivatives), JAX jit with donated buffers. ganc is
timed on the spec's data, whose zeros matter to it (the digits of vae are mostly black), the peers on the data of the check. A peer is a process that
has compiled and warmed up before the first round; while it is not its turn it is stopped, so that no idle pool of threads waits beside the other
side's work. A peer that took more than three times as long as the fastest of them for each of the three in the first round rests in the others.
"""

import argparse
import json
import math
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from models import CASES
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent
GANC = HERE.parents[1] / "target" / "release" / "ganc"
# Of a turn: for training steps, and for each kind of samples.
SECONDS, SAMPLE_SECONDS = 1.0, 0.4
FEWEST_STEPS = 2
# A call that takes this many seconds is measured once in a turn.
LONG = 5.0
# What a drawing has, whatever the batch of a step.
SAMPLES = 64
# What a peer's process prints when it is warm, and when its losses are ganc's.
READY, AGREES = "ready", "agrees"
# How closely losses must agree before and after the first update, relative to 1 or the loss. Updates of the check are so much smaller than
# those of training, and what follows them is compared less closely: Adam's first step is the sign of a gradient, which rounding decides where
# it is almost 0.
AGREE = (1e-4, 3e-2)
SMALLER = 1e-3
FIGURES = ["step", "sample", "sample1"]
# A peer this many times behind the fastest one rests.
BEHIND = 3.0


def spec(case):
    name, overrides, batch, _, _ = CASES[case]
    return [str(HERE / f"{name}.gan"), *[a for k, v in overrides.items() for a in ("--set", f"{k}={v}")]], batch


def ganc(*arguments):
    return subprocess.run([GANC, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def start(case):
    """What ganc says of the case, and weights and data for two steps."""
    arguments, batch = spec(case)
    about = json.loads(ganc("check", *arguments, "--json"))
    rng = np.random.default_rng(1)

    def drawn(shape, init):
        kind, *numbers = re.findall(r"[a-z]+|-?[\d.]+(?:e-?\d+)?", init)
        a, b = [*map(float, numbers), 0.0][:2]
        made = {"normal": lambda: rng.normal(a, b, shape), "uniform": lambda: rng.uniform(a, b, shape)}
        return np.asarray(made.get(kind, lambda: np.full(shape, a))(), np.float32)

    weights = {p["name"]: drawn(p["shape"], p["init"]) for p in about["params"]}
    feeds = {}
    for f in about["feeds"]:
        if "." not in f["name"] or f["name"].startswith("noise."):
            shape = [2, *f["shape"]]
            values = rng.uniform(0 if case == "vae" else -1, 1, shape) if f["name"] in "xab" else rng.normal(0, 1, shape)
            values = rng.uniform(0, 1, shape) if f["name"] == "u" else values
            if case == "vae" and f["name"] == "x":
                # As digits: black at the borders and beside the ink. A dense layer of ganc leaves out what is 0.
                values[..., :4] = values[..., -4:] = 0
                values *= rng.uniform(0, 1, shape) < 0.3
            feeds[f["name"]] = rng.integers(0, 10, shape[:2]) if f["name"] == "y" else values.astype(np.float32)
    return about, weights, feeds


def by_net(weights):
    nets = {}
    for name, w in weights.items():
        nets.setdefault(name.split(".")[0], []).append(w)
    return nets


def trainer(side, system, weights):
    if side == "jax":
        from with_jax import Trainer

        return Trainer(system, by_net(weights))
    from with_torch import Trainer

    return Trainer(system, by_net(weights), "channels_last" in side, "compile" in side)


def losses_of_ganc(case, optimizer, weights, feeds):
    arguments, (beta1, beta2) = spec(case)[0], optimizer["betas"]
    arguments += ["--set", f"train.optimizer=adam({optimizer['lr']:.3g}, beta1={beta1}, beta2={beta2})"]
    with tempfile.TemporaryDirectory() as d:
        save_file(weights, f"{d}/w")
        save_file({k: v.astype(np.float32) for k, v in feeds.items()}, f"{d}/f")
        ganc("replay", *arguments, "--weights", f"{d}/w", "--feed", f"{d}/f", "-o", f"{d}/o")
        return {k: float(v) for k, v in load_file(f"{d}/o").items() if ".loss." in k}


def milliseconds(f, seconds):
    """The median of the calls that fit into the time, without the first one; of long ones, the first."""
    times, begin = [], time.perf_counter()
    while len(times) < 1 + FEWEST_STEPS or time.perf_counter() - begin < seconds:
        before = time.perf_counter()
        f()
        times.append((time.perf_counter() - before) * 1e3)
        if len(times) == 1 and times[0] > LONG * 1e3:
            return times[0]
    return statistics.median(times[1:])


def check(case, side):
    """Exits with an error where the losses of two steps are not ganc's."""
    system = CASES[case][3]
    system.optimizer = {**system.optimizer, "lr": system.optimizer["lr"] * SMALLER}
    _, weights, feeds = start(case)
    t = trainer(side, system, weights)
    wanted = losses_of_ganc(case, system.optimizer, weights, feeds)
    updates = 0
    for i in range(2):
        for player, loss in t.step(t.feeds({k: v[i] for k, v in feeds.items()})).items():
            w = wanted[f"step.{i}.loss.{player}"]
            limit, updates = AGREE[updates > 0], updates + 1
            if not abs(float(loss) - w) <= limit * max(1.0, abs(w)):
                sys.exit(f"{case}: in step {i} the loss of {player} is {float(loss)} with {side} and {w} with ganc")


def serve(case, side):
    """Prints a line when it is warm, and for every line it reads what it measured, as JSON."""
    _, weights, feeds = start(case)
    t = trainer(side, CASES[case][3], weights)
    f, all_, one = (t.feeds({k: np.resize(v[0], (n, *v.shape[2:])) for k, v in feeds.items()}) for n in (CASES[case][2], SAMPLES, 1))
    for _ in range(2):
        t.step(f), t.sample(all_), t.sample(one)
    print(READY, flush=True)
    for _ in sys.stdin:
        measured = {
            "step": milliseconds(lambda: t.step(f), SECONDS),
            "sample": milliseconds(lambda: t.sample(all_), SAMPLE_SECONDS),
            "sample1": milliseconds(lambda: t.sample(one), SAMPLE_SECONDS),
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(measured), flush=True)


class Peer:
    """A process that serves, stopped between its turns."""

    def __init__(self, case, side, threads, *more):
        command = [sys.executable, __file__, case, "--side", side, "--threads", str(threads), *more]
        bound = {"OMP_NUM_THREADS": str(threads), "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"}
        self.errors, pipe = tempfile.TemporaryFile("w+"), subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.errors, text=True, env={**os.environ, **bound})

    def answer(self, start):
        """The next line that starts so; what libraries print is passed over. An error when the process ends without it."""
        for said in self.process.stdout:
            if said.startswith(start):
                return said
        self.process.wait()
        self.errors.seek(0)
        raise RuntimeError((self.errors.read().strip().splitlines() or ["it failed"])[-1])

    def ready(self):
        self.answer(READY)
        self.process.send_signal(signal.SIGSTOP)

    def turn(self):
        self.process.send_signal(signal.SIGCONT)
        print(file=self.process.stdin, flush=True)
        measured = json.loads(self.answer("{"))
        self.process.send_signal(signal.SIGSTOP)
        return measured

    def end(self):
        self.process.kill()
        self.process.wait()


def ganc_turn(case, threads, steps):
    """What a turn of ganc's measured. Its steps fill the time of a turn when the last turn's time is known."""
    arguments, batch = spec(case)
    report = lambda n, samples, steps: json.loads(
        ganc("bench", *arguments, "--batch", n, "--samples", samples, "--threads", threads, "--steps", steps, "--json")
    )
    all_, one = report(batch, SAMPLES, steps), report(1, 1, FEWEST_STEPS)
    return {"step": all_["step_ms"]["median"], "sample": all_["sample_ms"], "sample1": one["sample_ms"], "rss": all_["rss_mb"],
            "cpu": all_["cpu"], "compile": all_["compile_ms"]}


def measure(case, sides, threads, rounds):
    """Side -> what each of its turns measured, and side -> why it failed."""
    times, failed, peers = {}, {}, {}
    try:
        for side in sides:
            try:
                peers[side] = Peer(case, side, threads, "--check")
                peers[side].answer(AGREES)
                peers[side].end()
                peers[side] = Peer(case, side, threads)
                peers[side].ready()
            except RuntimeError as e:
                if "the loss of" in str(e):
                    sys.exit(str(e))
                failed[side] = str(e)
                peers.pop(side).end()
        steps = FEWEST_STEPS
        for i in range(rounds + 1):
            turn = ganc_turn(case, threads, steps)
            steps = max(FEWEST_STEPS, round(SECONDS * 1e3 / turn["step"]))
            # The first turn only tells how many steps fill one.
            if i == 0:
                continue
            times.setdefault("ganc", []).append(turn)
            for side, peer in peers.items():
                times.setdefault(side, []).append(peer.turn())
            if i == 1:
                fastest = {what: min(times[s][0][what] for s in peers) for what in FIGURES}
                for side in [s for s in peers if all(times[s][0][what] > BEHIND * fastest[what] for what in FIGURES)]:
                    peers.pop(side).end()
    finally:
        for peer in peers.values():
            peer.end()
    return times, failed


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all when none is named")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--without", default="", help="peers to leave out: jax, compile")
    options.add_argument("--json", help="where all measurements go")
    options.add_argument("--side", help=argparse.SUPPRESS)
    options.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    o = options.parse_args()
    if o.side:
        if o.side != "jax":
            import torch

            torch.set_num_threads(o.threads)
        if o.check:
            check(o.cases[0], o.side)
            return print(AGREES)
        return serve(o.cases[0], o.side)
    if (load := os.getloadavg()[0]) > 0.7:
        print(f"the machine is busy (load {load:.1f}): read the ratios as rough", file=sys.stderr)
    left_out = o.without.split(",")
    rows, kept = [], {}
    for case in o.cases or CASES:
        system, wanted = CASES[case][3:]
        sides = ["eager", *(["eager channels_last"] if system.image else [])]
        sides += [s for s in ["compile", "jax"] if s not in left_out and not (s == "compile" and system.second_order)]
        times, failed = measure(case, sides, o.threads, o.rounds)
        sides = [s for s in sides if s in times]
        median = lambda side, what: statistics.median(t[what] for t in times[side])
        kept[case] = {"times": times, "failed": failed}
        row = [case, CASES[case][2], wanted]
        for what in FIGURES:
            best = min(sides, key=lambda s: median(s, what))
            faster = statistics.median(p[what] / g[what] for p, g in zip(times[best], times["ganc"]))
            row.append((median("ganc", what), median(best, what), best, faster))
        rows.append(row)
        shown = ", ".join(f"{s} {median(s, 'step'):.2f}" for s in times)
        print(f"{case}: step {shown}; samples {median('ganc', 'sample'):.2f} and {min(median(s, 'sample') for s in sides):.2f}; one "
              f"{median('ganc', 'sample1'):.3f} and {min(median(s, 'sample1') for s in sides):.3f}; memory {median('ganc', 'rss'):.0f} MB and "
              f"{median('eager', 'rss'):.0f} MB" + "".join(f"; {s} failed: {e}" for s, e in failed.items()), file=sys.stderr, flush=True)
    import torch

    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    kernel = kept[rows[0][0]]["times"]["ganc"][0]["cpu"]
    jax = "" if "jax" in left_out else f", JAX {__import__('jax').__version__}"
    print(f"{date.today()}, {cpu}, {o.threads} threads, ganc with {kernel}, PyTorch {torch.__version__}{jax}; medians of {o.rounds} rounds, ms\n")
    print("| case | batch | best peer | step: peer | ganc | times faster | wanted | 64 samples | one sample |\n|---|---|---|---|---|---|---|---|---|")
    for case, batch, wanted, step, sample, one in rows:
        print(f"| {case} | {batch} | {step[2]} | {step[1]:.2f} | {step[0]:.2f} | **{step[3]:.2f}** | {wanted} | {sample[3]:.2f} | {one[3]:.2f} |")
    means = [math.exp(statistics.fmean(math.log(r[i][3]) for r in rows)) for i in (3, 4, 5)]
    print(f"| geometric mean | | | | | **{means[0]:.2f}** | 1.9 | {means[1]:.2f} | {means[2]:.2f} |")
    if o.json:
        Path(o.json).write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
