"""JAX: the whole step jitted, with the weights and the optimizers' state donated."""

import jax
import jax.numpy as jnp
from jax import lax
from models import Weights

DIMS = ("NCHW", "OIHW", "NCHW")


class Ops:
    mean = staticmethod(lambda x, dim=None, keep=False: jnp.mean(x, dim, keepdims=keep))
    sum = staticmethod(jnp.sum)
    softplus, relu, tanh, exp = map(staticmethod, [jax.nn.softplus, jax.nn.relu, jnp.tanh, jnp.exp])
    sqrt, abs = map(staticmethod, [jnp.sqrt, jnp.abs])
    leaky_relu = staticmethod(lambda x: jax.nn.leaky_relu(x, 0.2))
    detach = staticmethod(lax.stop_gradient)
    dense = staticmethod(lambda x, w, b: x @ w.T + b)
    reflect_pad = staticmethod(lambda x, n: jnp.pad(x, ((0, 0), (0, 0), (n, n), (n, n)), mode="reflect"))
    flatten = staticmethod(lambda x: x.reshape(x.shape[0], -1))
    reshape = staticmethod(jnp.reshape)
    cat = staticmethod(lambda parts: jnp.concatenate(parts, 1))
    embed = staticmethod(lambda w, y: w[y])
    expand = staticmethod(lambda x, n: jnp.broadcast_to(x, (n, *x.shape)))
    repeat = staticmethod(lambda x, n: jnp.tile(x, n))
    upsample = staticmethod(lambda x: x.repeat(2, 2).repeat(2, 3))
    avg_pool = staticmethod(lambda x: x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).mean((3, 5)))

    @staticmethod
    def conv(x, w, b, stride, pad):
        y = lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2, dimension_numbers=DIMS)
        return y if b is None else y + b[:, None, None]

    @staticmethod
    def conv_t(x, w, b, stride, pad, out_pad):
        k, w = w.shape[2], jnp.flip(w, (2, 3)).swapaxes(0, 1)
        edges = [(k - 1 - pad, k - 1 - pad + out_pad)] * 2
        y = lax.conv_general_dilated(x, w, (1, 1), edges, lhs_dilation=(stride, stride), dimension_numbers=DIMS)
        return y if b is None else y + b[:, None, None]

    @staticmethod
    def batch_norm(x, w, b):
        axes = (0, *range(2, x.ndim))
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        return (x - mean) * lax.rsqrt(var + 1e-5) * w.reshape(shape) + b.reshape(shape)

    @staticmethod
    def instance_norm(x, eps=1e-5):
        mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
        return (x - mean) * lax.rsqrt(var + eps)

    @staticmethod
    def blur(x):
        k = jnp.array([1.0, 2.0, 1.0]) / 4
        k = jnp.broadcast_to(k[:, None] * k, (x.shape[1], 1, 3, 3))
        return lax.conv_general_dilated(x, k, (1, 1), [(1, 1)] * 2, dimension_numbers=DIMS, feature_group_count=x.shape[1])

    @staticmethod
    def grad(f, x):
        return jax.grad(lambda x: f(x).sum())(x)


class Trainer:
    def __init__(self, system, weights):
        self.system, o = system, Ops()
        zeros = lambda: jax.tree.map(jnp.zeros_like, self.weights)
        self.weights = {n: [jnp.array(w) for w in ws] for n, ws in weights.items()}
        self.state = (self.weights, zeros(), zeros(), jnp.zeros(()))
        lr, (b1, b2) = system.optimizer["lr"], system.optimizer["betas"]

        def runner(weights):
            return lambda name, *inputs: system.net(o, name, Weights(weights[name]), *inputs)

        def step(state, f):
            weights, m, v, t = state
            weights, m, v, t, losses = dict(weights), dict(m), dict(v), t + 1, {}
            # The generated samples are computed once; a player whose nets made them goes back through them.
            shared, back = {}, None
            if system.shared(runner(weights), f):
                makers = [n for n in weights if not n.startswith("D")]
                shared, back = jax.vjp(lambda ws: system.shared(runner({**weights, **ws}), f), {n: weights[n] for n in makers})
            for player, nets in system.players.items():
                own = {n: weights[n] for n in nets}
                objective = lambda own, shared: system.objective(o, player, runner({**weights, **own}), f, shared)
                makes = back is not None and not nets[0].startswith("D")
                if makes:
                    losses[player], (grads, g) = jax.value_and_grad(objective, (0, 1))(own, shared)
                    grads = jax.tree.map(jnp.add, grads, back(g)[0])
                else:
                    losses[player], grads = jax.value_and_grad(objective)(own, shared)
                for n in nets:
                    m[n] = [b1 * a + (1 - b1) * g for a, g in zip(m[n], grads[n])]
                    v[n] = [b2 * a + (1 - b2) * g * g for a, g in zip(v[n], grads[n])]
                    scale, root = lr / (1 - b1**t), jnp.sqrt(1 - b2**t)
                    weights[n] = [w - scale * a / (jnp.sqrt(b) / root + 1e-8) for w, a, b in zip(weights[n], m[n], v[n])]
            return (weights, m, v, t), losses

        self.jitted = jax.jit(step, donate_argnums=0)
        self.sampler = jax.jit(lambda weights, f: system.sample(runner(weights), f))

    def feeds(self, arrays):
        return {k: jnp.array(v) for k, v in arrays.items()}

    def step(self, f):
        self.state, losses = self.jitted(self.state, f)
        jax.block_until_ready(self.state)
        return losses

    def sample(self, f):
        return jax.block_until_ready(self.sampler(self.state[0], f))
