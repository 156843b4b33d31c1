//! What the compiler makes of a model: graphs, and the tables of what flows into and out of them.
//!
//! Holds: every [`Source`](crate::graph::Source) and [`Sink`](crate::graph::Sink) of a graph indexes the tables here,
//! with the same shape.

use crate::graph::{FeedId, Graph, ScalarId, Shape, StateId};

/// A compiled-to-graphs spec at one batch size.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The spec's name.
    pub name: String,
    /// Samples per batch.
    pub batch: usize,
    /// Every persistent tensor: weights in definition order, then buffers, then optimizer moments, then averages.
    pub states: Vec<State>,
    /// Every tensor given for each run of a graph.
    pub feeds: Vec<Feed>,
    /// Every number given for each run of a graph.
    pub scalars: Vec<Scalar>,
    /// The distinct update graphs of a training step.
    pub phases: Vec<Phase>,
    /// When parts of the objectives count.
    pub conditions: Vec<Condition>,
    /// Which phases a step runs, in order; each run draws fresh feeds. One list for each combination of conditions: bit `i` of its
    /// position says whether condition `i` holds.
    pub orders: Vec<Vec<usize>>,
    /// Players in order of their updates.
    pub players: Vec<String>,
    /// Inference graphs by name: `sample` draws what the `sample` section says (by default the first
    /// generator's output), and each net has one under its own name, with outputs named as in its signature.
    pub samplers: Vec<Sampler>,
    /// Whether convolutions must not be computed by Winograd's minimal filtering: `train.exact_conv`.
    pub exact_conv: bool,
}

/// When a part of an objective counts; steps count from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// In every step whose number is a multiple of this one.
    Every(u64),
    /// In the first so many steps.
    Until(u64),
}

impl Condition {
    /// Whether it holds in step `step`.
    pub fn holds(self, step: u64) -> bool {
        match self {
            Condition::Every(n) => step.is_multiple_of(n),
            Condition::Until(n) => step < n,
        }
    }
}

/// One update graph. Its outputs are `loss.PLAYER` (scalars), `grad.PARAM` (kept for `replay`; removed when training)
/// and updates of states.
#[derive(Clone, Debug)]
pub struct Phase {
    /// `D`, or `D+G`: the players it updates in this order.
    pub name: String,
    /// Indices of the players in [`Program::players`].
    pub players: Vec<usize>,
    /// The graph.
    pub graph: Graph,
}

/// An inference graph.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// `sample` or a net's name.
    pub name: String,
    /// The graph; its inputs are states (the averaged ones where `ema` is on) and feeds.
    pub graph: Graph,
    /// For each output the axes that turn it from the inside layout to PyTorch's.
    pub layouts: Vec<Layout>,
}

/// A persistent tensor.
#[derive(Clone, Debug)]
pub struct State {
    /// `G.conv_t_1.weight`, `D.batch_norm_2.running_mean`, `G.conv_1.weight.adam_m`, `ema.G.conv_1.weight`.
    pub name: String,
    /// Shape inside graphs.
    pub shape: Shape,
    /// How PyTorch lays it out.
    pub layout: Layout,
    /// Where it lies in memory in panels of so many columns, `[panel][row][column]`, of a matrix.
    pub panels: Option<usize>,
    /// What it is.
    pub role: StateRole,
}

impl State {
    /// How what lies in memory relates to PyTorch's layout.
    pub fn stored(&self) -> Layout {
        let Some(width) = self.panels else { return self.layout.clone() };
        let Layout { shape, split, perm } = &self.layout;
        // The last axis comes apart: panels come first, their columns last.
        let (last, rest) = (split.len() - 1, &split[..split.len() - 1]);
        let axes = |&axis: &usize| if axis == last { vec![0, last + 1] } else { vec![axis + 1] };
        Layout {
            shape: shape.clone(),
            split: [&[split[last] / width][..], rest, &[width]].concat(),
            perm: perm.iter().flat_map(axes).collect(),
        }
    }
}

/// How a tensor inside relates to the same tensor in PyTorch's layout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// PyTorch's shape.
    pub shape: Shape,
    /// The inside tensor, reshaped to `split` ...
    pub split: Shape,
    /// ... and transposed by `perm` (axis `i` of the result is axis `perm[i]`), has PyTorch's elements in order.
    pub perm: Vec<usize>,
}

/// What a persistent tensor is for.
#[derive(Clone, PartialEq, Debug)]
pub enum StateRole {
    /// Learned.
    Weight {
        /// The net it belongs to.
        net: String,
        /// How it starts.
        init: Init,
    },
    /// Kept by a layer, not learned: running statistics.
    Buffer {
        /// The net it belongs to.
        net: String,
        /// How it starts.
        init: Init,
    },
    /// Earlier samples, kept by a `history`; starts empty.
    History,
    /// Kept by an optimizer.
    Moment {
        /// The weight it belongs to.
        of: StateId,
        /// Value of every element at the start.
        start: f32,
    },
    /// Exponential moving average of a weight or buffer; starts as its copy.
    Average {
        /// What it follows.
        of: StateId,
    },
}

/// How a weight starts. Fans are PyTorch's (`torch.nn.init`): products over PyTorch's layout.
#[derive(Clone, PartialEq, Debug)]
pub enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal with mean and standard deviation.
    Normal(f32, f32),
    /// Uniform between two bounds.
    Uniform(f32, f32),
    /// Orthogonal rows or columns (Saxe et al., 2014) times a gain, on PyTorch's layout flattened to `[shape[0], rest]`.
    Orthogonal(f32),
}

/// A tensor given for each run.
#[derive(Clone, Debug)]
pub struct Feed {
    /// `x`, `z`, `dropout.1`.
    pub name: String,
    /// Shape inside graphs, the batch first.
    pub shape: Shape,
    /// How PyTorch lays it out, the batch first.
    pub layout: Layout,
    /// Where it comes from.
    pub source: FeedSource,
    /// Of labels and words: whole numbers from 0 on, fewer than these.
    pub limit: Option<usize>,
}

impl Feed {
    /// The first of `data` that is no label or word where the feed has those, as a sentence.
    pub fn stranger(&self, data: &[f32]) -> Option<String> {
        let limit = self.limit?;
        let fits = |x: f32| x >= 0.0 && (x as usize) < limit && x.fract() == 0.0;
        let wrong = data.iter().copied().find(|x| !fits(*x))?;
        Some(format!("`{}` has {wrong}: expected whole numbers from 0 to {}", self.name, limit - 1))
    }
}

/// Where a feed comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum FeedSource {
    /// Column `column` of data binding `stream` (their order in the `data` section).
    Data {
        /// Which binding.
        stream: usize,
        /// Which of its names.
        column: usize,
    },
    /// Independent normal numbers.
    Normal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Independent uniform numbers in `[low, high)`.
    Uniform {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// For each sample of a `history` a place of its own among so many, as a row with a single 1, and a coin, 0 or 1; the shape is
    /// `[batch, places + 1]`.
    Places,
    /// An input of a net's own inference graph (`ganc call`); only the caller can give it.
    Argument,
}

/// A number given for each run.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// `lr.G`, `adam_c1.G`.
    pub name: String,
    /// How it follows from the progress of training.
    pub rule: ScalarRule,
}

/// How a scalar follows from the progress of training. `t` counts the updates of the player, from 1.
#[derive(Clone, PartialEq, Debug)]
pub enum ScalarRule {
    /// Base learning rate times the schedule's factor.
    LearningRate {
        /// Index in [`Program::players`].
        player: usize,
        /// Rate before the schedule.
        base: f64,
        /// Factor over the run.
        schedule: Schedule,
    },
    /// `1 - beta^t` (Kingma & Ba, 2015, section 3).
    BiasCorrection {
        /// Index in [`Program::players`].
        player: usize,
        /// The moment's decay.
        beta: f64,
        /// Updates of the player before the weight was there.
        since: u64,
    },
    /// How far the newest stage of growing has faded in: 0 at step `from`, 1 after `steps` more.
    Fade {
        /// First step of the stage.
        from: u64,
        /// Its length; at 0 it is there at once.
        steps: u64,
    },
    /// What the caller says; this unless it says something.
    Given(f64),
    /// Decay of an average: `min(decay, (1 + t) / (10 + t))` after `t` training steps, so that a short run's average is not
    /// made of its start.
    AverageDecay {
        /// The decay that a long run comes to.
        decay: f64,
    },
}

/// Factor on the learning rate; steps count from 0 and refer to training steps.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    /// Linear rise from 0 over the first steps.
    pub warmup: u64,
    /// What follows.
    pub decay: Decay,
}

/// Decay of the learning rate.
#[derive(Clone, PartialEq, Debug)]
pub enum Decay {
    /// None.
    Constant,
    /// 1 until `from`, then linear to 0 at `to`.
    Linear {
        /// Last step at full rate.
        from: u64,
        /// First step at rate 0.
        to: u64,
    },
    /// Half a cosine from 1 at the end of the warm-up to 0 at `to` (Loshchilov & Hutter, 2017).
    Cosine {
        /// First step at rate 0.
        to: u64,
    },
    /// Times `gamma` after every `every` steps.
    Step {
        /// Steps between drops.
        every: u64,
        /// Factor of a drop.
        gamma: f64,
    },
}

impl Program {
    /// The phases of training step `step`, in order.
    pub fn order(&self, step: u64) -> &[usize] {
        let holding = self.conditions.iter().enumerate().filter(|(_, c)| c.holds(step));
        &self.orders[holding.fold(0, |bits, (i, _)| bits | 1 << i)]
    }

    /// The combination with the most work: every condition holds.
    pub fn fullest(&self) -> &[usize] {
        self.orders.last().map_or(&[], Vec::as_slice)
    }

    /// The state called `name`.
    pub fn state(&self, name: &str) -> Option<StateId> {
        self.states.iter().position(|s| s.name == name).map(|i| StateId(i as u32))
    }

    /// The feed called `name`.
    pub fn feed(&self, name: &str) -> Option<FeedId> {
        self.feeds.iter().position(|s| s.name == name).map(|i| FeedId(i as u32))
    }

    /// The scalar called `name`.
    pub fn scalar(&self, name: &str) -> Option<ScalarId> {
        self.scalars.iter().position(|s| s.name == name).map(|i| ScalarId(i as u32))
    }

    /// The inference graph called `name`.
    pub fn sampler(&self, name: &str) -> Option<&Sampler> {
        self.samplers.iter().find(|s| s.name == name)
    }
}
