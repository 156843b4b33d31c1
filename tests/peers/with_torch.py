"""PyTorch as its users make it fast on a CPU: float32, fused Adam, the other players' weights constant in a player's turn, both memory formats."""

import torch
import torch.nn.functional as F


class Ops:
    mean = staticmethod(lambda x, dim=None, keep=False: x.mean() if dim is None else x.mean(dim, keepdim=keep))
    sum = staticmethod(lambda x, dim: x.sum(dim))
    softplus, relu, tanh, exp = map(staticmethod, [F.softplus, F.relu, torch.tanh, torch.exp])
    sqrt, abs = map(staticmethod, [torch.sqrt, torch.abs])
    leaky_relu = staticmethod(lambda x: F.leaky_relu(x, 0.2))
    detach = staticmethod(lambda x: x.detach())
    dense = staticmethod(F.linear)
    conv = staticmethod(lambda x, w, b, stride, pad: F.conv2d(x, w, b, stride, pad))
    conv_t = staticmethod(lambda x, w, b, stride, pad, out_pad: F.conv_transpose2d(x, w, b, stride, pad, out_pad))
    instance_norm = staticmethod(lambda x, eps=1e-5: F.instance_norm(x, eps=eps))
    reflect_pad = staticmethod(lambda x, n: F.pad(x, (n,) * 4, mode="reflect"))
    flatten = staticmethod(lambda x: x.flatten(1))
    reshape = staticmethod(lambda x, shape: x.reshape(shape))
    cat = staticmethod(lambda parts: torch.cat(parts, 1))
    embed = staticmethod(lambda w, y: F.embedding(y, w))
    expand = staticmethod(lambda x, n: x.expand(n, *x.shape))
    repeat = staticmethod(lambda x, n: x.repeat(n))
    upsample = staticmethod(lambda x: F.interpolate(x, scale_factor=2))
    avg_pool = staticmethod(lambda x: F.avg_pool2d(x, 2))

    def __init__(self):
        self.running, self.kernels = {}, {}

    def batch_norm(self, x, w, b):
        if id(w) not in self.running:
            self.running[id(w)] = (torch.zeros(w.shape), torch.ones(w.shape))
        mean, var = self.running[id(w)]
        return F.batch_norm(x, mean, var, w, b, training=True)

    def blur(self, x):
        c = x.shape[1]
        if c not in self.kernels:
            k = torch.tensor([1.0, 2.0, 1.0]) / 4
            self.kernels[c] = (k[:, None] * k).expand(c, 1, 3, 3).contiguous()
        return F.conv2d(x, self.kernels[c], padding=1, groups=c)

    @staticmethod
    def grad(f, x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]


class Trainer:
    def __init__(self, system, weights, channels_last=False, compiled=False):
        """`weights`: net -> list of arrays."""
        from models import Weights

        layout = lambda t: t.contiguous(memory_format=torch.channels_last) if channels_last and t.dim() == 4 else t
        self.layout, self.system, self.o = layout, system, Ops()
        self.weights = {n: [layout(torch.tensor(w)).requires_grad_() for w in ws] for n, ws in weights.items()}
        self.optimizers = {
            player: torch.optim.Adam([w for n in nets for w in self.weights[n]], fused=True, **system.optimizer)
            for player, nets in system.players.items()
        }
        net = lambda name: lambda ws, *x: system.net(self.o, name, Weights(ws), *x)
        self.nets = {n: torch.compile(net(n), dynamic=False) if compiled else net(n) for n in weights}

    def feeds(self, arrays):
        return {k: self.layout(torch.tensor(v)) for k, v in arrays.items()}

    def run(self, name, *inputs):
        return self.nets[name](self.weights[name], *inputs)

    def step(self, f):
        shared, losses = self.system.shared(self.run, f), {}
        last = list(self.system.players)[-1]
        for player, nets in self.system.players.items():
            own = [w for n in nets for w in self.weights[n]]
            for ws in self.weights.values():
                for w in ws:
                    w.requires_grad_(False)
            for w in own:
                w.requires_grad_(True)
            loss = self.system.objective(self.o, player, self.run, f, shared)
            # What is shared was made while its nets could learn: its gradient is kept for them.
            grads = torch.autograd.grad(loss, own)
            for w, g in zip(own, grads):
                w.grad = g
            self.optimizers[player].step()
            losses[player] = loss
        for ws in self.weights.values():
            for w in ws:
                w.requires_grad_(True)
        return losses

    def sample(self, f):
        with torch.inference_mode():
            return self.system.sample(self.run, f)
