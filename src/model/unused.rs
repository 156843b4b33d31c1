//! Names nobody uses. Warnings only: the spec works without them, but its author meant something.

use super::resolver::Resolver;
use super::scope::{Local, Origin};
use crate::diag::{Diagnostic, Span};

impl Resolver<'_> {
    /// Warns of everything defined and never used. Silent after errors, which leave much unused.
    pub fn unused(&mut self) {
        if self.failed() {
            return;
        }
        let spec = self.spec;
        for item in spec.lets.iter().filter(|l| !self.numbers.is_used(&l.name.text)).collect::<Vec<_>>() {
            self.warn(item.name.span, "the number", &item.name.text);
        }
        let locals: Vec<Local> = self.global().locals.clone();
        let used = |name: &str| locals.iter().any(|l| l.name == name && l.used);
        for binding in &spec.data {
            // A label may stay unused beside its image.
            if let Some(first) = binding.names.first()
                && !binding.names.iter().any(|n| used(&n.text))
            {
                self.warn(first.span, "the stream", &first.text);
            }
        }
        for name in spec.noise.iter().flat_map(|b| &b.names).filter(|n| !used(&n.text)) {
            self.warn(name.span, "the noise", &name.text);
        }
        for name in spec.terms.iter().flat_map(|b| &b.names).filter(|n| !used(&n.text)) {
            self.warn(name.span, "the term", &name.text);
        }
        for block in spec.blocks.iter().filter(|b| !self.used_blocks.contains(&b.name.text)).collect::<Vec<_>>() {
            self.warn(block.name.span, "the block", &block.name.text);
        }
        for net in spec.nets.iter().filter(|n| !self.used_nets.contains(&n.name.text)).collect::<Vec<_>>() {
            self.warn(net.name.span, "the net", &net.name.text);
        }
    }

    /// Warns of inputs and named values of a net that its layers never use.
    pub fn unused_in_net(&mut self, net: &str, names: &[Local]) {
        if self.failed() {
            return;
        }
        for l in names.iter().filter(|l| matches!(l.origin, Origin::Input | Origin::Named)) {
            if names.iter().any(|o| o.used && o.name == l.name && (o.span == l.span || l.origin == Origin::Named)) {
                continue;
            }
            let kind = if l.origin == Origin::Input { "the input" } else { "the value" };
            self.unused_warning(l.span, format!("{kind} `{}` of the net `{net}` is never used", l.name));
        }
    }

    fn warn(&mut self, span: Span, kind: &str, name: &str) {
        self.unused_warning(span, format!("{kind} `{name}` is never used"));
    }

    fn unused_warning(&mut self, span: Span, message: String) {
        self.report(Diagnostic::new("W0501", span, message).label("never used").hint("use it or remove it"));
    }
}
