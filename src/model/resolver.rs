//! The order of resolution, and the state its parts share.

use super::numbers::{Numbers, plural, what};
use super::scope::{Bound, Frame, Origin};
use super::source::CaptionsOf;
use super::suggest::did_you_mean;
use super::{Action, Column, DataSource, Growth, Model, Net, Noise, Player, Probe, Stream, Type, functions, layers, source};
use crate::diag::{Diagnostic, Diagnostics, Severity, Sources, Span};
use crate::syntax::ast::{Arg, Binding, Expr, ExprKind, Name, Spec};
use std::collections::{HashMap, HashSet};

/// See [`super::resolve`].
pub fn resolve(spec: &Spec, sources: &Sources, probe: &Probe, stage: Option<usize>) -> (Option<Model>, Diagnostics) {
    let mut r = Resolver::new(spec, sources, probe);
    r.sections();
    r.duplicates();
    r.lets();
    r.growth(stage);
    if r.too_many_nets() {
        return (None, r.diags);
    }
    for binding in &spec.data {
        r.data(binding);
    }
    for binding in &spec.noise {
        r.noise(binding);
    }
    for net in &spec.nets {
        r.net(net);
    }
    for binding in &spec.terms {
        r.term(binding);
    }
    r.game();
    let train = r.train();
    let sample = r.sample();
    r.initialise(&train);
    r.domain(&train);
    r.unused();
    r.finish(train, sample)
}

/// Findings of one run; more would not be read.
const MOST_FINDINGS: usize = 200;
/// Most nets of a spec.
const MOST_NETS: usize = 256;

/// What the parts of resolution share.
pub struct Resolver<'a> {
    pub spec: &'a Spec,
    pub sources: &'a Sources,
    pub probe: &'a Probe<'a>,
    diags: Diagnostics,
    said: HashSet<(&'static str, Option<Span>, String)>,
    /// The `let` section.
    pub numbers: Numbers<'a>,
    pub streams: Vec<Stream>,
    pub noises: Vec<Noise>,
    /// Nets resolved so far.
    pub nets: Vec<Net>,
    pub players: Vec<Player>,
    /// The body of terms and objectives, then, while a net is resolved, the net's.
    pub frames: Vec<Frame>,
    /// Blocks being expanded, with the place of their use.
    pub block_stack: Vec<(String, Span)>,
    pub used_blocks: HashSet<String>,
    pub used_nets: HashSet<String>,
    /// Layers made for all nets.
    pub layers_made: usize,
    /// Statements expanded for all nets.
    pub work: usize,
    /// How the spec grows, at the stage in work.
    pub growing: Option<Growth>,
}

impl<'a> Resolver<'a> {
    fn new(spec: &'a Spec, sources: &'a Sources, probe: &'a Probe<'a>) -> Resolver<'a> {
        Resolver {
            spec,
            sources,
            probe,
            diags: Diagnostics::default(),
            said: HashSet::new(),
            numbers: Numbers::new(&spec.lets),
            streams: Vec::new(),
            noises: Vec::new(),
            nets: Vec::new(),
            players: Vec::new(),
            frames: vec![Frame::default()],
            block_stack: Vec::new(),
            used_blocks: HashSet::new(),
            used_nets: HashSet::new(),
            layers_made: 0,
            work: 0,
            growing: None,
        }
    }

    /// The body in work.
    pub fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// The body of terms and objectives.
    pub fn global(&self) -> &Frame {
        &self.frames[0]
    }

    /// Takes a finding; the same one at the same place (a block used twice) counts once.
    pub fn report(&mut self, mut d: Diagnostic) {
        if let Some((name, place)) = self.block_stack.first() {
            d.related.push((*place, format!("in the block `{name}` used here")));
        }
        // Enough is enough, but an error must be on record for the rest to stop.
        let full = self.diags.items().len() >= MOST_FINDINGS && (self.failed() || d.severity == Severity::Warning);
        if !full && self.said.insert((d.code, d.span, d.message.clone())) {
            self.diags.push(d);
        }
    }

    /// Takes a finding of which one per `key` is enough.
    pub fn report_once(&mut self, d: Diagnostic, key: &str) {
        if self.said.insert((d.code, None, key.to_string())) {
            self.report(d);
        }
    }

    /// Whether any error has been found.
    pub fn failed(&self) -> bool {
        self.diags.has_errors()
    }

    /// A place for what concerns the whole spec.
    pub fn top(&self) -> Span {
        let first = self.spec.gan.iter().chain(&self.spec.sections).next();
        first.map_or(Span::default(), |n| n.span)
    }

    /// The place of a section's key.
    pub fn section(&self, name: &str) -> Option<Span> {
        self.spec.sections.iter().find(|s| s.text == name).map(|s| s.span)
    }

    fn sections(&mut self) {
        let missing = [
            ("nets", self.spec.nets.is_empty(), "the networks, for example `G(z) -> x:` and its layers"),
            ("game", self.spec.game.is_empty(), "who minimises or maximises what, for example `min G: -E[log(D(G(z)))]`"),
            ("train", self.spec.train.is_empty(), "at least `steps` (or `epochs`, `images`) and `optimizer`"),
        ];
        for (name, absent, says) in missing {
            if absent {
                let place = self.section(name).unwrap_or(self.top());
                self.report(
                    Diagnostic::new("E0408", place, format!("the spec has nothing under `{name}:`"))
                        .hint(format!("`{name}:` says {says}")),
                );
            }
        }
    }

    fn too_many_nets(&mut self) -> bool {
        let Some(net) = self.spec.nets.get(MOST_NETS) else { return false };
        self.report(
            Diagnostic::new("E0214", net.name.span, "the spec has too many nets")
                .expected(format!("at most {MOST_NETS}"))
                .found(self.spec.nets.len().to_string()),
        );
        true
    }

    fn duplicates(&mut self) {
        let spec = self.spec;
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let names = spec.lets.iter().map(|l| &l.name);
        let names = names.chain(spec.data.iter().chain(&spec.noise).flat_map(|b| &b.names));
        let names = names.chain(spec.nets.iter().map(|n| &n.name)).chain(spec.terms.iter().flat_map(|b| &b.names));
        for n in names {
            self.distinct(&mut seen, n);
        }
        let mut seen = HashMap::new();
        for block in &spec.blocks {
            self.distinct(&mut seen, &block.name);
            if layers::find(&block.name.text).is_some() {
                self.report(
                    Diagnostic::new("E0200", block.name.span, format!("`{}` is the name of a layer", block.name.text))
                        .label("a block cannot replace a layer")
                        .hint("choose another name"),
                );
            }
        }
        for net in &spec.nets {
            let name = net.name.text.as_str();
            if name == "E" || functions::FUNCTIONS.iter().any(|f| f.0 == name) || layers::find(name).is_some() {
                self.report(
                    Diagnostic::new("E0200", net.name.span, format!("`{name}` already means something in expressions"))
                        .label("a net cannot replace it")
                        .hint("choose another name"),
                );
            }
        }
    }

    fn distinct<'n>(&mut self, seen: &mut HashMap<&'n str, Span>, n: &'n Name) {
        match seen.get(n.text.as_str()) {
            Some(&first) => self.report(
                Diagnostic::new("E0200", n.span, format!("`{}` is defined twice", n.text))
                    .label("defined again")
                    .related(first, "first defined here")
                    .hint("give one of them another name"),
            ),
            None => {
                seen.insert(&n.text, n.span);
            }
        }
    }

    fn lets(&mut self) {
        let mut found = Diagnostics::default();
        self.numbers.check_all(&self.spec.lets, &mut found);
        for d in found.items() {
            self.report(d.clone());
        }
    }

    /// The call a binding's right side must be.
    fn source_call(&mut self, e: &'a Expr, example: &str) -> Option<(Name, &'a [Arg])> {
        match &e.kind {
            ExprKind::Call { callee, args } => Some((callee.clone(), args)),
            ExprKind::Name(n) => Some((Name { text: n.clone(), span: e.span }, &[])),
            ExprKind::Number(_)
            | ExprKind::Text(_)
            | ExprKind::Bool(_)
            | ExprKind::List(_)
            | ExprKind::Mean(_)
            | ExprKind::Neg(_)
            | ExprKind::Binary { .. } => {
                self.report(
                    Diagnostic::new("E0205", e.span, "a source is needed here")
                        .label("not a source")
                        .expected(format!("a call such as `{example}`"))
                        .found(what(e)),
                );
                None
            }
        }
    }

    fn data(&mut self, binding: &'a Binding) {
        let index = self.streams.len();
        let span = binding.value.span;
        let call = self.source_call(&binding.value, "digits(size=32)");
        let found = call.and_then(|(callee, args)| match callee.text.as_str() {
            "captions" => self.captions(&callee, args, span),
            _source => source::data(self, &callee, args, span),
        });
        let Some((source, shown)) = found else {
            for n in &binding.names {
                let v = self.unknown(n.span);
                self.frame().bind(&n.text, Bound::Value(v), n.span, Origin::Stream);
            }
            return;
        };
        let (mut info, more) = source.known();
        let mut problem = None;
        if more {
            match (self.probe)(&source) {
                Ok(found) => info = found,
                Err(why) => problem = Some(why),
            }
        }
        for note in &info.notes {
            self.report(Diagnostic::new("W0605", span, note.clone()).label("done to these files"));
        }
        let mut columns = Vec::new();
        for (i, n) in binding.names.iter().enumerate() {
            let ty = match info.columns.get(i) {
                Some(column) => column.ty(),
                None => {
                    let d = match &problem {
                        Some(why) => {
                            Diagnostic::new("E0602", span, format!("what `{}` is cannot be known without its files", n.text))
                                .label(why.clone())
                                .hint("paths are relative to the folder ganc is started in")
                        }
                        None => {
                            let d = Diagnostic::new("E0603", n.span, format!("this source gives no {} value", ordinal(i)))
                                .label("nothing to name")
                                .expected(format!("at most {}", plural(info.columns.len(), "name")))
                                .found(plural(binding.names.len(), "name"));
                            match source {
                                DataSource::Images { .. } => {
                                    d.hint("labels come from folders inside the folder, one for each class")
                                }
                                DataSource::Speech { .. } => {
                                    d.hint("labels come from folders inside the folder, one for each speaker")
                                }
                                DataSource::Ring { .. }
                                | DataSource::Grid { .. }
                                | DataSource::SwissRoll { .. }
                                | DataSource::Digits { .. }
                                | DataSource::Shapes { .. }
                                | DataSource::Mnist { .. }
                                | DataSource::Idx { .. }
                                | DataSource::Captions { .. }
                                | DataSource::Pairs { .. }
                                | DataSource::Voices { .. }
                                | DataSource::Npy { .. } => d,
                            }
                        }
                    };
                    self.report(d);
                    Type::Unknown
                }
            };
            columns.push((n.text.clone(), ty.clone()));
            let v = match ty {
                Type::Unknown => self.unknown(n.span),
                Type::Tensor(_) | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Number => {
                    self.frame().value(Action::Data { stream: index, column: i }, Vec::new(), ty, n.span)
                }
            };
            let v = self.at_stage(v, n.span);
            self.frame().bind(&n.text, Bound::Value(v), n.span, Origin::Stream);
        }
        let span = binding.names.first().map_or(span, |n| n.span);
        let vocabulary = info.columns.iter().find_map(|c| match c {
            Column::Tokens { vocabulary, .. } => Some(vocabulary.clone()),
            Column::Image { .. } | Column::Vector(_) | Column::Class(_) | Column::Array(_) => None,
        });
        self.streams.push(Stream { columns, source, vocabulary, shown, len: info.len, problem, span });
    }

    /// `captions(x)`: the texts of a binding above, or of other images than those drawn beside them.
    fn captions(&mut self, callee: &Name, args: &[Arg], span: Span) -> Option<(DataSource, String)> {
        let (of, rest) = match args {
            [Arg { name: None, value: Expr { kind: ExprKind::Name(n), span } }, rest @ ..] => (Some((n, *span)), rest),
            all => (None, all),
        };
        let settings = super::args::read(self, "captions", span, rest, source::CAPTIONS)?;
        let which = match (settings.flag("mismatched"), settings.flag("near")) {
            (false, false) => CaptionsOf::Same,
            (true, false) => CaptionsOf::Other,
            (true, true) => CaptionsOf::Near,
            (false, true) => {
                let d = Diagnostic::new("E0206", settings.span("near"), "only a mismatched caption can be a near one");
                let d = d.label("chooses among the captions of other images").expected("`mismatched=true` beside it");
                self.report(d.hint("leave `near` out for the captions of the images themselves"));
                return None;
            }
        };
        let position = of.and_then(|(n, _)| self.streams.iter().position(|s| s.columns.iter().any(|c| c.0 == *n)));
        let Some(at) = position else {
            let d = Diagnostic::new("E0601", of.map_or(callee.span, |o| o.1), "`captions` takes a stream of images above it")
                .label("no stream above has this name")
                .expected("such as `captions(x, mismatched=true)` after `x, t: shapes(caption=true)`");
            let names: Vec<&str> = self.streams.iter().flat_map(|s| &s.columns).map(|c| c.0.as_str()).collect();
            self.report(match of.and_then(|(n, _)| did_you_mean(n, names)) {
                Some(h) => d.hint(h),
                None => d,
            });
            return None;
        };
        let stream = &self.streams[at];
        let (mut info, more) = stream.source.known();
        if more {
            // What is wrong with its files was said where the stream stands.
            info = (self.probe)(&stream.source).ok()?;
        }
        let Some(column) = info.columns.iter().position(|c| matches!(c, Column::Tokens { .. })) else {
            let d = Diagnostic::new("E0603", span, "this stream has no captions")
                .label("captions of these images are asked for")
                .related(stream.span, "the stream")
                .hint("add `caption=true` to its source");
            self.report(d);
            return None;
        };
        let name = of.map_or(String::new(), |o| o.0.clone());
        let shown = match which {
            CaptionsOf::Same => format!("captions({name})"),
            CaptionsOf::Other => format!("captions({name}, mismatched=true)"),
            CaptionsOf::Near => format!("captions({name}, mismatched=true, near=true)"),
        };
        Some((DataSource::Captions { of: Box::new(stream.source.clone()), stream: at as u32, column, which }, shown))
    }

    fn noise(&mut self, binding: &'a Binding) {
        let Some(name) = binding.names.first() else { return };
        for extra in &binding.names[1..] {
            self.report(
                Diagnostic::new("E0603", extra.span, "a source of noise gives one value")
                    .hint("write a line for each name: they are drawn independently"),
            );
        }
        let call = self.source_call(&binding.value, "normal(100)");
        let found = call.and_then(|(callee, args)| source::noise(self, &callee, args, binding.value.span));
        let v = match found {
            Some((source, shown)) => {
                let noise = Noise { name: name.text.clone(), source, shown };
                let (index, ty) = (self.noises.len(), Type::Tensor(noise.shape().clone()));
                self.noises.push(noise);
                self.frame().value(Action::Noise(index), Vec::new(), ty, name.span)
            }
            None => self.unknown(name.span),
        };
        self.frame().bind(&name.text, Bound::Value(v), name.span, Origin::Noise);
    }

    fn term(&mut self, binding: &'a Binding) {
        if let [name] = &binding.names[..] {
            let v = self.expr(&binding.value);
            self.frame().bind(&name.text, Bound::Value(v), name.span, Origin::Term);
            return;
        }
        let e = &binding.value;
        let mut outputs = Vec::new();
        if let ExprKind::Call { callee, args } = &e.kind
            && let Some(net) = self.net_named(&callee.text)
        {
            let values: Vec<_> = args.iter().map(|a| self.expr(&a.value)).collect();
            outputs = self.call_net(net, &values, args, e.span);
        }
        if outputs.len() != binding.names.len() {
            self.report(
                Diagnostic::new("E0210", e.span, format!("{} stand on the left", plural(binding.names.len(), "name")))
                    .label(if outputs.is_empty() {
                        "not a net's call".to_string()
                    } else {
                        format!("gives {}", plural(outputs.len(), "value"))
                    })
                    .expected("a call of a net with as many outputs")
                    .found(what(e)),
            );
            outputs.clear();
        }
        for (i, n) in binding.names.iter().enumerate() {
            let v = match outputs.get(i) {
                Some(v) => *v,
                None => self.unknown(n.span),
            };
            self.frame().bind(&n.text, Bound::Value(v), n.span, Origin::Term);
        }
    }

    fn finish(mut self, train: super::Train, sample: super::Sample) -> (Option<Model>, Diagnostics) {
        // The user reads from top to bottom, whatever the order in which things were looked at.
        let mut found = self.diags.items().to_vec();
        found.sort_by_key(|d| d.span);
        self.diags = Diagnostics::default();
        found.into_iter().for_each(|d| self.diags.push(d));
        if self.diags.has_errors() {
            return (None, self.diags);
        }
        let Some(frame) = self.frames.pop() else { return (None, self.diags) };
        let terms = frame.locals.iter().filter(|l| l.origin == Origin::Term).filter_map(|l| match l.bound {
            Bound::Value(v) => Some((l.name.clone(), v)),
            Bound::Number(_) => None,
        });
        let model = Model {
            name: self.spec.gan.as_ref().map_or_else(|| "gan".to_string(), |n| n.text.clone()),
            about: self.spec.about.as_ref().map(|n| n.text.clone()),
            streams: self.streams,
            noises: self.noises,
            nets: self.nets,
            terms: terms.collect(),
            game: frame.body,
            players: self.players,
            train,
            sample,
            growth: self.growing,
        };
        (Some(model), self.diags)
    }
}

fn ordinal(i: usize) -> &'static str {
    ["first", "second", "third", "fourth"].get(i).unwrap_or(&"further")
}
