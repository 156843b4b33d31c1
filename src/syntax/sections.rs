//! Blocks to [`ast::Spec`]: what each section's keys and values are.
//!
//! On entry the blocks of a file. On exit the whole tree; what could not be read is left out of it and stands in the report.

use super::ast::{Binding, Block, Expr, ExprKind, Let, Name, Net, Objective, Setting, Spec, Stage, Stmt, StmtKind, Value};
use super::layout::{Entry, Item, Map, Node, first_line};
use super::scalar::{self, Head};
use super::wrong::HEADS;
use super::{Report, clamp};
use crate::diag::{Diagnostic, Span, render::suggest};

/// The sections of a spec, in their usual order.
pub const SECTIONS: [&str; 11] = ["gan", "about", "let", "data", "noise", "blocks", "nets", "terms", "game", "train", "sample"];

/// The spec that the root block of a file says.
pub(super) fn spec(report: &mut Report, root: &Node) -> Spec {
    let mut spec = Spec::default();
    match root {
        Node::Map(Map { entries, braces: None }) => {
            for entry in entries {
                section(report, &mut spec, entry);
            }
        }
        Node::Empty(place) => {
            if report.found.is_empty() {
                report.push(
                    Diagnostic::new("E0112", *place, "this spec is empty")
                        .expected("sections: `data:`, `noise:`, `nets:`, `game:`, `train:`")
                        .hint("`ganc new` writes one to start from"),
                );
            }
        }
        Node::Map(_) | Node::Seq(_) | Node::Scalar(_) => report.push(
            Diagnostic::new("E0123", root.span(), "a spec is made of sections")
                .expected("`SECTION:` in the first column, with its lines indented below it")
                .hint(format!("the sections are {}", SECTIONS.join(", "))),
        ),
    }
    spec
}

/// Reads one section into the spec; an unknown one is reported.
pub(super) fn section(report: &mut Report, spec: &mut Spec, entry: &Entry) {
    let name = report.text(entry.key);
    if !SECTIONS.contains(&name) {
        let problem = Diagnostic::new("E0110", entry.key, format!("there is no section `{}`", first_line(name)));
        let lower = name.to_ascii_lowercase();
        report.push(match suggest(&lower, SECTIONS) {
            Some(better) => problem.hint(format!("did you mean `{better}`?")),
            None => problem.hint(format!("the sections are {}", SECTIONS.join(", "))),
        });
        return;
    }
    if let Node::Empty(_) = entry.value {
        let problem = Diagnostic::new("E0112", entry.key, format!("the section `{name}` is empty"));
        report.push(match name {
            "gan" | "about" => problem.expected(format!("`{name}: TEXT`")),
            _ => problem.expected("lines indented further than the section").hint("fill it, or remove it"),
        });
        return;
    }
    spec.sections.push(Name { text: name.to_string(), span: entry.key });
    match name {
        "gan" => spec.gan = text(report, entry, scalar::gan_name),
        "about" => spec.about = text(report, entry, scalar::free_text),
        "let" => spec.lets = each(report, entry, let_line),
        "data" => spec.data = each(report, entry, binding),
        "noise" => spec.noise = each(report, entry, binding),
        "terms" => spec.terms = each(report, entry, binding),
        "blocks" => spec.blocks = each(report, entry, block),
        "nets" => spec.nets = each(report, entry, net),
        "game" => spec.game = each(report, entry, objective),
        "train" => spec.train = each(report, entry, setting),
        _ => spec.sample = each(report, entry, setting),
    }
}

fn text(report: &mut Report, entry: &Entry, read: fn(&mut Report, Span) -> Option<Name>) -> Option<Name> {
    match &entry.value {
        Node::Scalar(span) => read(report, *span),
        Node::Map(_) | Node::Seq(_) | Node::Empty(_) => {
            report.push(
                Diagnostic::new("E0123", entry.value.span(), "lines where one text is expected")
                    .related(entry.key, "of this section"),
            );
            None
        }
    }
}

/// Every line of a section that is a mapping.
fn each<T>(report: &mut Report, section: &Entry, read: fn(&mut Report, &Entry) -> Option<T>) -> Vec<T> {
    match &section.value {
        Node::Map(map) => map.entries.iter().filter_map(|entry| read(report, entry)).collect(),
        Node::Scalar(_) | Node::Seq(_) | Node::Empty(_) => {
            let name = report.text(section.key);
            let problem =
                Diagnostic::new("E0123", section.value.span(), format!("the section `{name}` holds `KEY: VALUE` lines"))
                    .related(section.key, "of this section");
            report.push(match &section.value {
                Node::Seq(_) => problem.found("a list").hint("remove the `- ` at the beginning of its lines"),
                Node::Map(_) | Node::Scalar(_) | Node::Empty(_) => {
                    problem.found("a value").hint("put each `KEY: VALUE` into a line of its own, indented by two blanks")
                }
            });
            Vec::new()
        }
    }
}

pub(super) fn let_line(report: &mut Report, entry: &Entry) -> Option<Let> {
    let key = scalar::def_key(report, entry.key);
    let value = match &entry.value {
        Node::Seq(seq) => list(report, &seq.items),
        Node::Scalar(_) | Node::Map(_) | Node::Empty(_) => expr(report, entry),
    };
    let ((name, params), value) = (key?, value?);
    Some(Let { name, params, value })
}

pub(super) fn binding(report: &mut Report, entry: &Entry) -> Option<Binding> {
    let names = scalar::names_key(report, entry.key);
    let value = one_value(report, entry);
    Some(Binding { names: names?, value: value? })
}

fn block(report: &mut Report, entry: &Entry) -> Option<Block> {
    let key = scalar::def_key(report, entry.key);
    let body = body(report, entry.key, &entry.value);
    let ((name, params), body) = (key?, body?);
    let span = entry.key.to(end_of(&entry.value));
    Some(Block { name, params: params.unwrap_or_default(), body, span })
}

fn net(report: &mut Report, entry: &Entry) -> Option<Net> {
    let signature = scalar::signature(report, entry.key);
    let body = body(report, entry.key, &entry.value);
    let (signature, body) = (signature?, body?);
    Some(Net { name: signature.name, inputs: signature.inputs, outputs: signature.outputs, body, span: entry.key })
}

pub(super) fn objective(report: &mut Report, entry: &Entry) -> Option<Objective> {
    let roles = scalar::roles(report, entry.key);
    let value = one_value(report, entry);
    Some(Objective { roles: roles?, value: value?, span: entry.key })
}

pub(super) fn setting(report: &mut Report, entry: &Entry) -> Option<Setting> {
    let key = scalar::plain_key(report, entry.key);
    let value = match &entry.value {
        Node::Map(map) => {
            let settings: Vec<_> = map.entries.iter().filter_map(|entry| setting(report, entry)).collect();
            let whole = map.entries.first().map(|first| first.key.to(end_of(&entry.value)));
            map.braces.or(whole).map(|span| Value::Map(settings, span))
        }
        Node::Seq(seq) => list(report, &seq.items).map(Value::Expr),
        Node::Scalar(_) | Node::Empty(_) => expr(report, entry).map(Value::Expr),
    };
    Some(Setting { key: key?, value: value? })
}

/// A list written as lines with `- `.
fn list(report: &mut Report, items: &[Item]) -> Option<Expr> {
    let mut values = Vec::new();
    for item in items {
        match &item.value {
            Node::Scalar(span) => values.push(scalar::value(report, *span)?),
            Node::Map(_) | Node::Seq(_) | Node::Empty(_) => {
                report.push(Diagnostic::new("E0123", item.value.span(), "a list of settings holds values").expected("`- VALUE`"));
                return None;
            }
        }
    }
    let span = items.first()?.dash.to(values.last()?.span);
    Some(Expr { kind: ExprKind::List(values), span })
}

/// The expression behind a key that holds no list.
fn one_value(report: &mut Report, entry: &Entry) -> Option<Expr> {
    let value = expr(report, entry)?;
    if let ExprKind::List(_) = value.kind {
        report.push(
            Diagnostic::new("E0123", value.span, "a list where one value is expected")
                .related(entry.key, "of this key")
                .hint("lists stand under `let:`, `train:` and `sample:`, as arguments, and behind `in`"),
        );
        return None;
    }
    Some(value)
}

/// The expression behind a key.
fn expr(report: &mut Report, entry: &Entry) -> Option<Expr> {
    let problem = match &entry.value {
        Node::Scalar(span) => return scalar::value(report, *span),
        Node::Empty(_) => Diagnostic::new("E0112", entry.key, format!("`{}` has no value", first_line(report.text(entry.key))))
            .expected("a value behind the colon")
            .hint("a value in the next line must be indented further than its key"),
        Node::Seq(seq) => Diagnostic::new("E0123", entry.value.span(), "list items where one value is expected")
            .related(entry.key, "of this key")
            .hint(match seq.items.as_slice() {
                [Item { value: Node::Scalar(span), .. }] => {
                    format!(
                        "`- ` begins a list item; for a minus write no blank behind it: `-{}`",
                        first_line(report.text(*span))
                    )
                }
                _ => "write the value behind the key, or in one deeper line without `- `".to_string(),
            }),
        Node::Map(_) => Diagnostic::new("E0123", entry.value.span(), "`KEY: VALUE` where one value is expected")
            .related(entry.key, "of this key")
            .hint("only keys under `train:` and `sample:` hold further keys"),
    };
    report.push(problem);
    None
}

/// A body: one pipeline behind the key, or a list of lines below it.
pub(super) fn body(report: &mut Report, key: Span, node: &Node) -> Option<Vec<Stmt>> {
    match node {
        Node::Scalar(span) => {
            if let Some(at) = item_line(report.text(*span)) {
                let start = span.start as usize + at;
                report.push(
                    Diagnostic::new("E0123", report.span(start, start + 1), "a list item below a body that is already there")
                        .related(*span, "the body begins here")
                        .hint("put the first layer into a line of its own, too, with `- `; or join both with `|`"),
                );
                return None;
            }
            statement(report, *span).map(|stmt| vec![stmt])
        }
        Node::Seq(seq) => {
            let statements: Vec<_> = seq.items.iter().map(|item| item_statement(report, item)).collect();
            statements.into_iter().collect()
        }
        Node::Map(map) => {
            report.push(
                Diagnostic::new("E0123", node.span(), "the lines of a body are list items")
                    .related(key, "of this body")
                    .expected("`- ` before every line")
                    .hint(format!(
                        "write `- {}:`",
                        map.entries.first().map_or(String::new(), |entry| first_line(report.text(entry.key)))
                    )),
            );
            for entry in &map.entries {
                nested(report, std::slice::from_ref(entry));
            }
            None
        }
        Node::Empty(_) => {
            report.push(
                Diagnostic::new("E0119", key, format!("`{}` has no body", first_line(report.text(key))))
                    .expected("layers behind the colon, or below it in lines that begin with `- `"),
            );
            None
        }
    }
}

/// Where a continued line of a text begins with `- `.
fn item_line(text: &str) -> Option<usize> {
    let mut at = 0;
    for (number, line) in text.split('\n').enumerate() {
        let lead = line.len() - line.trim_start().len();
        if number > 0 && line[lead..].starts_with("- ") {
            return Some(at + lead);
        }
        at += line.len() + 1;
    }
    None
}

fn item_statement(report: &mut Report, item: &Item) -> Option<Stmt> {
    match &item.value {
        Node::Scalar(span) => statement(report, *span),
        Node::Map(Map { entries, braces: None }) => nested(report, entries),
        Node::Map(_) => {
            report.push(Diagnostic::new("E0123", item.value.span(), "a mapping in braces is no layer").expected("a pipeline"));
            None
        }
        Node::Seq(_) => {
            report.push(
                Diagnostic::new("E0123", item.value.span(), "a list within a list")
                    .expected("one `- ` at the beginning of a line")
                    .hint("nested lines stand below `for`, `repeat`, `residual`, `grow` or `shrink`"),
            );
            None
        }
        Node::Empty(place) => {
            report.push(Diagnostic::new("E0119", *place, "an empty list item").expected("a layer behind `- `"));
            None
        }
    }
}

fn statement(report: &mut Report, span: Span) -> Option<Stmt> {
    let bare = report.text(span);
    if HEADS.iter().any(|head| bare.strip_prefix(head).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
        && !bare.contains(['|', '('])
    {
        let (end, _) = clamp(report.source(), span.end as usize, 0);
        report.push(
            Diagnostic::new("E0103", span, format!("`{}` without its colon", first_line(bare)))
                .related(report.span(end, end), "a `:` is missing here")
                .expected("a colon, and the lines it heads below it, indented further"),
        );
        return None;
    }
    let stages: Vec<Stage> = scalar::pipeline(report, span)?;
    if let Some(list) = stages.iter().find(|stage| matches!(stage.expr.kind, ExprKind::List(_))) {
        report.push(
            Diagnostic::new("E0123", list.expr.span, "a list is no layer")
                .expected("a layer, a block, or a named value")
                .hint("to run over a list write `for NAME in LIST:`"),
        );
        return None;
    }
    Some(Stmt { kind: StmtKind::Pipe(stages), span })
}

/// A nested statement: its head and body, and the image layers of a growing one.
fn nested(report: &mut Report, entries: &[Entry]) -> Option<Stmt> {
    let (first, more) = entries.split_first()?;
    let head = scalar::head(report, first.key);
    let body = match (&head, &first.value) {
        (None, Node::Empty(_)) => return None,
        (_, value) => body(report, first.key, value),
    };
    let grows = match &head {
        Some(Head::Grow { up: true, .. }) => Some("to_image"),
        Some(Head::Grow { up: false, .. }) => Some("from_image"),
        Some(Head::For { .. } | Head::Repeat { .. } | Head::Residual) | None => None,
    };
    let mut image = None;
    let mut sound = true;
    for entry in more {
        let name = report.text(entry.key);
        if grows == Some(name) {
            let layers = self::body(report, entry.key, &entry.value);
            sound &= layers.is_some();
            image = layers.map(|layers| (Name { text: name.to_string(), span: entry.key }, layers));
            continue;
        }
        sound = false;
        if head.is_none() {
            continue;
        }
        let problem = Diagnostic::new("E0122", entry.key, format!("`{}` does not belong to the line above", first_line(name)));
        report.push(match grows {
            Some(key) => problem.related(first.key, "in this statement").expected(format!("`{key}:`")),
            None => problem.related(first.key, "this statement has one body").hint("begin a new line of the body with `- `"),
        });
    }
    let (head, body) = (head?, body?);
    let kind = match head {
        Head::For { var, list } => StmtKind::For { var, list, body },
        Head::Repeat { count } => StmtKind::Repeat { count, body },
        Head::Residual => StmtKind::Residual { body },
        Head::Grow { up, var, list } => StmtKind::Grow { up, var, list, body, image },
    };
    sound.then_some(Stmt { kind, span: first.key })
}

/// The last place of a block.
fn end_of(node: &Node) -> Span {
    match node {
        Node::Map(Map { braces: Some(span), .. }) | Node::Scalar(span) | Node::Empty(span) => *span,
        Node::Map(map) => map.entries.last().map_or(Span::default(), |entry| match &entry.value {
            Node::Empty(_) => entry.key,
            value => end_of(value),
        }),
        Node::Seq(seq) => seq.items.last().map_or(Span::default(), |item| end_of(&item.value)),
    }
}
