//! `--set KEY=VALUE`: changes one place of a parsed spec.
//!
//! The text of an override is a source of its own, so messages about it show it. Afterwards the spec is as if its file had said so.

use super::ast::{Name, Objective, Setting, Spec, Value};
use super::layout::{self, Entry, Node, first_line};
use super::{MAX_BYTES, Report, scalar, sections};
use crate::diag::{Diagnostic, Diagnostics, Sources, Span, render::suggest};

/// Applies `KEY=VALUE`, where KEY is a path such as `let.f`, `data.x`, `train.grow.start` or `game.min D`, or a whole section: `gan`, or
/// any other with a mapping in braces.
///
/// `let`, `data`, `noise`, `terms`, `nets` and `blocks` replace what is there (a net or block takes one pipeline); keys under `train` and `sample` are
/// added where they are absent. `game.min D` gives D a new objective: D leaves the ones it had, and in a game of one value the
/// other player keeps it.
///
/// # Errors
/// `E0130` without `=`, `E0131` for a place that the spec does not have, and the errors of the value. The spec is then unchanged.
pub fn apply_override(spec: &mut Spec, sources: &mut Sources, text: &str) -> Result<(), Diagnostics> {
    let key = text.split('=').next().unwrap_or("").trim();
    let file = sources.add(format!("--set {}", first_line(key)), text);
    let mut report = Report::new(sources, file);
    report.from_command_line = true;
    let mut changed = spec.clone();
    apply(&mut report, &mut changed);
    *spec = report.finish(changed)?;
    Ok(())
}

/// The parts of an override.
struct Override {
    section: Span,
    /// The path behind the section.
    path: Option<Span>,
    value: Node,
    value_span: Span,
}

fn apply(report: &mut Report, spec: &mut Spec) {
    let Some(set) = split(report) else { return };
    let section = report.text(set.section);
    let entry = |key: Span| Entry { key, value: set.value.clone() };
    let Some(path) = set.path else {
        let mut other = Spec::default();
        sections::section(report, &mut other, &entry(set.section));
        replace_section(spec, other, section);
        return;
    };
    match section {
        "let" => {
            let Some(new) = sections::let_line(report, &entry(path)) else { return };
            let known: Vec<_> = spec.lets.iter().map(|old| old.name.text.clone()).collect();
            match spec.lets.iter_mut().find(|old| old.name.text == new.name.text) {
                Some(old) => {
                    old.params = new.params.or(old.params.take());
                    old.value = new.value;
                }
                None => unknown(report, path, "let", &known),
            }
        }
        "data" | "noise" | "terms" => {
            let Some(new) = sections::binding(report, &entry(path)) else { return };
            let bindings = match section {
                "data" => &mut spec.data,
                "noise" => &mut spec.noise,
                _ => &mut spec.terms,
            };
            let names = |names: &[Name]| names.iter().map(|name| name.text.clone()).collect::<Vec<_>>();
            let wanted = names(&new.names);
            let known: Vec<_> = bindings.iter().flat_map(|old| names(&old.names)).collect();
            let is_it = |old: &[String]| old == wanted || wanted.len() == 1 && old.contains(&wanted[0]);
            match bindings.iter_mut().find(|old| is_it(&names(&old.names))) {
                Some(old) => old.value = new.value,
                None => unknown(report, path, section, &known),
            }
        }
        "nets" | "blocks" => body(report, spec, &set, path, section),
        "game" => {
            let Some(new) = sections::objective(report, &entry(path)) else { return };
            objective(report, spec, new);
        }
        "train" | "sample" => {
            let settings = if section == "train" { &mut spec.train } else { &mut spec.sample };
            setting(report, settings, path, &set);
            if !spec.sections.iter().any(|name| name.text == section) {
                spec.sections.push(Name { text: section.to_string(), span: set.section });
            }
        }
        "gan" | "about" => report.push(
            Diagnostic::new("E0131", path, format!("`{section}` has no parts")).hint(format!("write `--set {section}=...`")),
        ),
        _ => {
            let problem = Diagnostic::new("E0110", set.section, format!("there is no section `{}`", first_line(section)));
            report.push(match suggest(section, sections::SECTIONS) {
                Some(better) => problem.hint(format!("did you mean `{better}`?")),
                None => problem.hint(format!("the sections are {}", sections::SECTIONS.join(", "))),
            });
        }
    }
}

/// `section.path=value`, with what is missing reported.
fn split(report: &mut Report) -> Option<Override> {
    let text = report.source();
    let example = "`KEY=VALUE`, such as `let.f=32` or `train.steps=100`";
    if text.len() > MAX_BYTES {
        report.push(
            Diagnostic::new("E0105", report.span(0, 0), "this override is too large")
                .expected(format!("at most {MAX_BYTES} bytes")),
        );
        return None;
    }
    let Some(equals) = text.find('=') else {
        let problem = Diagnostic::new("E0130", report.span(0, text.len()), "an override without `=`").expected(example);
        report.push(match text.split_once(':') {
            Some((key, value)) => problem.hint(format!("write `{}={}`", first_line(key.trim()), first_line(value.trim()))),
            None => problem,
        });
        return None;
    };
    let trimmed = |from: usize, to: usize| {
        let part = &text[from..to];
        let start = from + part.len() - part.trim_start().len();
        (start, start + part.trim().len())
    };
    let (from, to) = trimmed(0, equals);
    let (value_from, value_to) = trimmed(equals + 1, text.len());
    if from == to {
        report.push(Diagnostic::new("E0130", report.span(0, equals + 1), "an override without a key").expected(example));
        return None;
    }
    if value_from == value_to {
        report.push(Diagnostic::new("E0112", report.span(from, equals + 1), "an override without a value").expected(example));
        return None;
    }
    let value_span = report.span(value_from, value_to);
    let value = layout::braces(report, value_span);
    let (section, path) = match text[from..to].find('.') {
        Some(dot) => {
            let (path_from, path_to) = trimmed(from + dot + 1, to);
            if path_from == path_to {
                report.push(Diagnostic::new("E0130", report.span(from, to), "nothing behind the `.`").expected(example));
                return None;
            }
            let (_, section_to) = trimmed(from, from + dot);
            (report.span(from, section_to), Some(report.span(path_from, path_to)))
        }
        None => (report.span(from, to), None),
    };
    Some(Override { section, path, value, value_span })
}

fn unknown(report: &mut Report, path: Span, section: &str, known: &[String]) {
    let word = report.text(path);
    let problem = Diagnostic::new("E0131", path, format!("the spec has no `{}` under `{section}:`", first_line(word)));
    report.push(match suggest(word, known.iter().map(String::as_str)) {
        Some(better) => problem.hint(format!("did you mean `{section}.{better}`?")),
        None if known.is_empty() => problem.hint(format!("its section `{section}` has no names")),
        None => problem.hint(format!("it has {}", known.join(", "))),
    });
}

fn replace_section(spec: &mut Spec, other: Spec, section: &str) {
    let Some(name) = other.sections.into_iter().next() else { return };
    match section {
        "gan" => spec.gan = other.gan,
        "about" => spec.about = other.about,
        "let" => spec.lets = other.lets,
        "data" => spec.data = other.data,
        "noise" => spec.noise = other.noise,
        "blocks" => spec.blocks = other.blocks,
        "nets" => spec.nets = other.nets,
        "terms" => spec.terms = other.terms,
        "game" => spec.game = other.game,
        "train" => spec.train = other.train,
        _ => spec.sample = other.sample,
    }
    match spec.sections.iter_mut().find(|old| old.text == section) {
        Some(old) => *old = name,
        None => spec.sections.push(name),
    }
}

fn body(report: &mut Report, spec: &mut Spec, set: &Override, path: Span, section: &str) {
    let Some(name) = scalar::plain_key(report, path) else { return };
    let Some(new) = sections::body(report, path, &Node::Scalar(set.value_span)) else { return };
    let known: Vec<String> = match section {
        "nets" => spec.nets.iter().map(|net| net.name.text.clone()).collect(),
        _ => spec.blocks.iter().map(|block| block.name.text.clone()).collect(),
    };
    let old = match section {
        "nets" => spec.nets.iter_mut().find(|net| net.name.text == name.text).map(|net| &mut net.body),
        _ => spec.blocks.iter_mut().find(|block| block.name.text == name.text).map(|block| &mut block.body),
    };
    match old {
        Some(body) => *body = new,
        None => unknown(report, path, section, &known),
    }
}

/// The players of the new objective leave the ones they had; it takes the place of the first of these that is left without players.
fn objective(report: &mut Report, spec: &mut Spec, new: Objective) {
    let players: Vec<&Name> = new.roles.iter().flat_map(|role| &role.nets).collect();
    let known: Vec<String> = spec.nets.iter().map(|net| net.name.text.clone()).collect();
    for player in &players {
        if !known.contains(&player.text) {
            let problem = Diagnostic::new("E0131", player.span, format!("there is no net `{}`", first_line(&player.text)));
            report.push(match suggest(&player.text, known.iter().map(String::as_str)) {
                Some(better) => problem.hint(format!("did you mean `{better}`?")),
                None => problem.hint(format!("the nets are {}", known.join(", "))),
            });
            return;
        }
    }
    let mut place = None;
    let mut kept = Vec::new();
    for mut old in std::mem::take(&mut spec.game) {
        for role in &mut old.roles {
            role.nets.retain(|net| !players.iter().any(|player| player.text == net.text));
        }
        old.roles.retain(|role| !role.nets.is_empty());
        if old.roles.is_empty() {
            place.get_or_insert(kept.len());
        } else {
            kept.push(old);
        }
    }
    kept.insert(place.unwrap_or(kept.len()), new);
    spec.game = kept;
}

/// Sets a key below `settings`; the path has a name for each level.
fn setting(report: &mut Report, settings: &mut Vec<Setting>, path: Span, set: &Override) {
    let mut at = path.start as usize;
    let mut keys = Vec::new();
    for part in report.text(path).split('.') {
        let start = at + part.len() - part.trim_start().len();
        let span = report.span(start, start + part.trim().len());
        at += part.len() + 1;
        if span.start == span.end {
            report.push(Diagnostic::new("E0130", path, "an empty name in the path").expected("names with a `.` between them"));
            return;
        }
        keys.push(span);
    }
    if keys.len() > super::MAX_NESTING {
        report.push(
            Diagnostic::new("E0105", path, "this path is too long").expected(format!("at most {} names", super::MAX_NESTING)),
        );
        return;
    }
    let Some((last, outer)) = keys.split_last() else { return };
    let mut level = settings;
    for key in outer {
        let Some(name) = scalar::plain_key(report, *key) else { return };
        let at = match level.iter().position(|setting| setting.key.text == name.text) {
            Some(at) => at,
            None => {
                level.push(Setting { key: name, value: Value::Map(Vec::new(), *key) });
                level.len() - 1
            }
        };
        level = match &mut level[at].value {
            Value::Map(inner, _) => inner,
            Value::Expr(expr) => {
                let problem =
                    Diagnostic::new("E0132", *key, format!("`{}` holds one value, not keys", first_line(report.text(*key))));
                report.push(problem.related(expr.span, "its value").hint("set it as a whole, with a mapping in braces"));
                return;
            }
        };
    }
    let Some(new) = sections::setting(report, &Entry { key: *last, value: set.value.clone() }) else { return };
    match level.iter_mut().find(|old| old.key.text == new.key.text) {
        Some(old) => old.value = new.value,
        None => level.push(new),
    }
}
