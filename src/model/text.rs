//! A model as text, for `--emit model` and for tests.

use super::functions::function_name;
use super::layers::{Slot, SlotKind, show_shape};
use super::numbers::show;
use super::train::{InitRule, Length, Moment, Optimizer, Rule};
use super::{Action, Body, Model, Net};
use crate::build::program::Init;
use std::fmt;

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "gan {}", self.name)?;
        for s in &self.streams {
            let columns: Vec<String> = s.columns.iter().map(|(n, t)| format!("{n} {t}")).collect();
            let len = s.len.map_or(String::new(), |n| format!(", {n} samples"));
            writeln!(f, "data {} = {}{len}", columns.join(", "), s.shown)?;
        }
        for n in &self.noises {
            writeln!(f, "noise {} {} = {}", n.name, show_shape(n.shape()), n.shown)?;
        }
        for n in &self.nets {
            net(self, n, f)?;
        }
        writeln!(f, "\ngame")?;
        body(self, None, &self.game, f)?;
        for (name, v) in &self.terms {
            writeln!(f, "  term {name} = {v}")?;
        }
        for p in &self.players {
            let way = if p.maximise { "max" } else { "min" };
            let turns = if p.turns == 1 { String::new() } else { format!(", {} turns", p.turns) };
            writeln!(f, "  {way} {}: {}{turns}", p.name, p.value)?;
        }
        if let Some(v) = self.sample.draw {
            writeln!(f, "  sample {v}, {} in rows of {}", self.sample.count, self.sample.columns)?;
        }
        train(self, f)
    }
}

fn net(model: &Model, n: &Net, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let inputs: Vec<String> = n.inputs.iter().map(|(n, t)| format!("{n} {t}")).collect();
    let outputs: Vec<String> = n.outputs.iter().map(|o| format!("{} {} = {}", o.name, o.ty, o.value)).collect();
    writeln!(f, "\nnet {}({}) -> {}", n.name, inputs.join(", "), outputs.join(", "))?;
    body(model, Some(n), &n.body, f)?;
    for (name, slot) in &n.slots {
        writeln!(f, "  {name} {} {}", show_shape(&slot.layout.shape), start(slot))?;
    }
    Ok(())
}

fn start(slot: &Slot) -> String {
    match &slot.kind {
        SlotKind::Buffer { init: Init::Constant(start) } => format!("buffer, starts at {start}"),
        SlotKind::Buffer { init } => format!("buffer, starts {init:?}"),
        SlotKind::Weight { init, .. } => match init {
            Init::Constant(x) => format!("starts at {x}"),
            Init::Normal(mean, std) => format!("normal({mean}, {std})"),
            Init::Uniform(low, high) => format!("uniform({low}, {high})"),
            Init::Orthogonal(gain) => format!("orthogonal({gain})"),
        },
    }
}

fn body(model: &Model, net: Option<&Net>, body: &Body, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, instr) in body.instrs().iter().enumerate() {
        let args = instr.args.iter().map(|a| a.to_string()).collect::<Vec<_>>().join(" ");
        let what = match &instr.action {
            Action::Input(k) => net.and_then(|n| n.inputs.get(*k)).map_or(String::new(), |i| format!("input {}", i.0)),
            Action::Data { stream, column } => format!("data {}", model.streams[*stream].columns[*column].0),
            Action::Noise(k) => format!("noise {}", model.noises[*k].name),
            Action::Number(x) => show(*x),
            Action::Layer(k) => {
                net.and_then(|n| n.layers.get(*k)).map_or(String::new(), |l| format!("{} = {} of {args}", l.name, l.shown))
            }
            Action::Call { net, output } => {
                let n = &model.nets[net.index()];
                let which = if n.outputs.len() > 1 { format!(".{}", n.outputs[*output].name) } else { String::new() };
                format!("{}{which} of {args}", n.name)
            }
            Action::Apply(function) => format!("{} {args}", function_name(*function)),
            Action::Unknown => "unknown".into(),
        };
        writeln!(f, "  %{i} {what} -> {}", instr.ty)?;
    }
    Ok(())
}

fn train(model: &Model, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let t = &model.train;
    let length = match t.length {
        Length::Steps(n) => format!("{n} steps"),
        Length::Epochs(n) => format!("{} epochs", show(n)),
        Length::Images(n) => format!("{n} images"),
    };
    writeln!(f, "\ntrain {length} of batch {}, seed {}", t.batch, t.seed)?;
    for (net, o) in model.nets.iter().zip(&t.optimizers) {
        if let Some(o) = o {
            writeln!(f, "  {} learns by {}", net.name, optimizer(o))?;
        }
    }
    if let Some(rule) = &t.init {
        let text = match rule {
            InitRule::Normal { mean, std } => format!("normal({}, {})", show(*mean), show(*std)),
            InitRule::Uniform { low, high } => format!("uniform({}, {})", show(*low), show(*high)),
            InitRule::Xavier { gain, normal } => format!("xavier{}({})", if *normal { "_normal" } else { "" }, show(*gain)),
            InitRule::Kaiming { slope, normal } => format!("kaiming{}({})", if *normal { "_normal" } else { "" }, show(*slope)),
            InitRule::Orthogonal { gain } => format!("orthogonal({})", show(*gain)),
        };
        writeln!(f, "  init {text}")?;
    }
    let schedule = match t.schedule {
        Rule::Constant => "constant".to_string(),
        Rule::Linear { from: Moment::Step(n) } => format!("linear to zero from step {n}"),
        Rule::Linear { from: Moment::Epoch(n) } => format!("linear to zero from epoch {}", show(n)),
        Rule::Cosine => "cosine".into(),
        Rule::Step { every, gamma } => format!("times {} every {every} steps", show(gamma)),
    };
    writeln!(f, "  schedule {schedule}, warm-up of {} steps", t.warmup)?;
    if let Some(decay) = t.ema {
        writeln!(f, "  ema {}", show(decay))?;
    }
    writeln!(
        f,
        "  checkpoint every {} steps, samples every {}{}",
        t.checkpoint,
        t.samples,
        if t.exact_conv { ", exact convolutions" } else { "" }
    )
}

fn optimizer(o: &Optimizer) -> String {
    match o {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
            format!("sgd({}, momentum={}, nesterov={nesterov}, weight_decay={})", show(*lr), show(*momentum), show(*weight_decay))
        }
        Optimizer::RmsProp { lr, alpha, eps, momentum } => {
            format!("rmsprop({}, alpha={}, eps={}, momentum={})", show(*lr), show(*alpha), show(*eps), show(*momentum))
        }
        Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled } => format!(
            "{}({}, beta1={}, beta2={}, eps={}, weight_decay={})",
            if *decoupled { "adamw" } else { "adam" },
            show(*lr),
            show(*beta1),
            show(*beta2),
            show(*eps),
            show(*weight_decay)
        ),
    }
}
