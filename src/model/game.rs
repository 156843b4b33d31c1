//! Objectives and players.

use super::resolver::Resolver;
use super::suggest::did_you_mean;
use super::{NetId, Player, Type};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Name, Objective, Role};

impl<'a> Resolver<'a> {
    /// Resolves the objectives into players, in the order of their updates: as written, and within one value the
    /// maximising player first (Goodfellow et al., 2014, algorithm 1).
    pub fn game(&mut self) {
        let spec = self.spec;
        for objective in &spec.game {
            self.objective(objective);
        }
    }

    fn objective(&mut self, o: &'a Objective) {
        let value = self.expr(&o.value);
        match self.ty(value) {
            Type::Number | Type::Unknown => {}
            found @ (Type::Tensor(_) | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_)) => {
                let text = self.sources.text(o.value.span).to_string();
                let hint = if text.len() < 60 && !text.contains('\n') {
                    format!("wrap it in `E[...]`, the mean over the batch: `E[{text}]`")
                } else {
                    "wrap it in `E[...]`, the mean over the batch".to_string()
                };
                self.report(
                    Diagnostic::new("E0311", o.value.span, "an objective must be a single number")
                        .label(format!("this is {found} for each sample"))
                        .expected("a single number for the whole batch")
                        .found(format!("{found} per sample"))
                        .hint(hint),
                );
            }
        }
        let mut roles: Vec<&Role> = o.roles.iter().collect();
        roles.sort_by_key(|r| !r.maximise);
        for role in roles {
            let mut nets = Vec::new();
            for n in &role.nets {
                if let Some(id) = self.player_net(n, o.span)
                    && !nets.contains(&id)
                {
                    nets.push(id);
                }
            }
            if nets.is_empty() {
                continue;
            }
            let name = nets.iter().map(|n: &NetId| self.nets[n.index()].name.as_str()).collect::<Vec<_>>().join(",");
            self.players.push(Player {
                name,
                nets,
                maximise: role.maximise,
                value,
                turns: 1,
                span: o.span,
                value_span: o.value.span,
            });
        }
    }

    fn player_net(&mut self, n: &Name, here: Span) -> Option<NetId> {
        let Some(i) = self.nets.iter().position(|x| x.name == n.text) else {
            let d = Diagnostic::new("E0401", n.span, format!("there is no net `{}` that could learn", n.text))
                .label("not a net")
                .expected("a name of `nets`");
            let names: Vec<String> = self.nets.iter().map(|x| x.name.clone()).collect();
            self.report(match did_you_mean(&n.text, names.iter().map(String::as_str)) {
                Some(h) => d.hint(h),
                None => d,
            });
            return None;
        };
        let id = NetId(i as u32);
        self.used_nets.insert(n.text.clone());
        if let Some(other) = self.players.iter().find(|p| p.nets.contains(&id)) {
            let place = other.span;
            let d = Diagnostic::new("E0402", n.span, format!("the net `{}` learns twice", n.text)).label("learns here too");
            let d = if place == here { d } else { d.related(place, "already learns here") };
            self.report(d.hint("write one objective per net: the sum of both"));
            return None;
        }
        Some(id)
    }
}
