//! The table of layers that `ganc check` prints.

use super::layers::SlotKind;
use super::{Model, Net, Type};
use crate::graph::{Shape, volume};

/// A line of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerRow {
    /// The net.
    pub net: String,
    /// `conv_2`; empty in the row that sums up a net.
    pub layer: String,
    /// The layer with its settings: `conv(64, 4, stride=2, pad=1)`; the signature in the row that sums up a net.
    pub shown: String,
    /// Shape of the result per sample, channels first.
    pub shape: Shape,
    /// Numbers that are learned.
    pub params: u64,
    /// Floating-point operations of the forward pass for a whole batch, a multiplication and an addition counting as two.
    pub flops: u64,
}

/// One row per layer in the order of nets and layers, and after each net's layers one that sums it up.
pub fn summary(model: &Model, batch: usize) -> Vec<LayerRow> {
    model.nets.iter().flat_map(|n| net_rows(n, batch as u64)).collect()
}

/// Numbers of a net that are learned.
pub fn learned(net: &Net) -> u64 {
    net.slots.iter().filter(|s| matches!(s.1.kind, SlotKind::Weight { .. })).map(|s| volume(&s.1.shape) as u64).sum()
}

fn net_rows(net: &Net, batch: u64) -> Vec<LayerRow> {
    let mut rows = Vec::new();
    for l in &net.layers {
        let weights = net.slots[l.slots.clone()].iter().filter(|s| matches!(s.1.kind, SlotKind::Weight { .. }));
        rows.push(LayerRow {
            net: net.name.clone(),
            layer: l.name.clone(),
            shown: l.shown.clone(),
            shape: l.shape.clone(),
            params: weights.map(|s| volume(&s.1.shape) as u64).sum(),
            flops: l.flops.saturating_mul(batch),
        });
    }
    let inputs: Vec<&str> = net.inputs.iter().map(|i| i.0.as_str()).collect();
    let outputs: Vec<&str> = net.outputs.iter().map(|o| o.name.as_str()).collect();
    let shape = match net.outputs.first().map(|o| &o.ty) {
        Some(Type::Tensor(s)) => s.clone(),
        Some(Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown) | None => Vec::new(),
    };
    rows.push(LayerRow {
        net: net.name.clone(),
        layer: String::new(),
        shown: format!("{}({}) -> {}", net.name, inputs.join(", "), outputs.join(", ")),
        shape,
        params: learned(net),
        flops: net.layers.iter().fold(0u64, |a, l| a.saturating_add(l.flops)).saturating_mul(batch),
    });
    rows
}
