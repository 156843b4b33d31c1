//! `ganc fmt`: a spec in its canonical form.
//!
//! Two blanks for each level, at most one empty line in a row, one spelling of every expression. Line ends inside values stay where they
//! are. Every comment stays: a line of its own moves with the line below it, comments behind the code of adjacent lines keep one
//! column. A mapping or list in braces that YAML would cut at the commas of a call becomes lines. Formatting twice changes nothing more.

use std::collections::BTreeMap;

use super::grammar::{Kind, Token, tokens};
use super::layout::{self, Entry, Map, Node, Seq};
use super::{Report, sections};
use crate::diag::{Diagnostics, FileId, Sources, Span};

/// Comments behind code are lined up to this column at most.
const MAX_COMMENT_COLUMN: usize = 120;

/// The canonical text of a spec.
///
/// # Errors
/// A text with syntax errors is not formatted; they are those of [`parse`](super::parse).
pub fn format(sources: &Sources, file: FileId) -> Result<String, Diagnostics> {
    let mut report = Report::new(sources, file);
    let root = layout::read(&mut report);
    sections::spec(&mut report, &root);
    if !report.found.is_empty() {
        report.finish(())?;
        return Ok(String::new());
    }
    let source = report.source();
    let starts: Vec<usize> = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let behind = layout::comments(&mut report);
    let mut writer = Writer { report: &report, source, starts, behind, next: 0, open: Vec::new(), out: Vec::new() };
    writer.node(&root, 0);
    writer.lead(writer.starts.len(), 0, 0);
    Ok(assemble(writer.out))
}

/// A line of the result.
enum Out {
    Empty,
    Code {
        indent: usize,
        text: String,
        /// The comment behind it, and the column where it stood.
        comment: Option<(String, usize)>,
    },
}

struct Writer<'r, 'a> {
    report: &'r Report<'a>,
    source: &'a str,
    /// Offset of the first byte of each line.
    starts: Vec<usize>,
    /// Comments behind code that are not written yet, by line.
    behind: BTreeMap<usize, Span>,
    /// The first line that is not written yet.
    next: usize,
    /// Columns of the blocks around the last line written: where they were, and where they are now.
    open: Vec<(usize, usize)>,
    out: Vec<Out>,
}

impl Writer<'_, '_> {
    fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    fn column_of(&self, at: usize) -> usize {
        at - self.starts[self.line_of(at)]
    }

    /// Writes what stands before line `upto`, which goes from column `old` to column `new`: empty lines and comments.
    fn lead(&mut self, upto: usize, old: usize, new: usize) {
        while self.next < upto {
            let line = self.next;
            self.next += 1;
            let end = self.starts.get(line + 1).map_or(self.source.len(), |next| next - 1);
            let text = self.source[self.starts[line]..end].trim_start_matches('\u{feff}');
            let content = text.trim();
            if content.is_empty() {
                self.out.push(Out::Empty);
            } else if content.starts_with('#') {
                let column = text.len() - text.trim_start().len();
                let kept = self.open.iter().rev().find(|(was, _)| *was <= column).map_or(0, |(_, now)| *now);
                let indent = if column <= old && upto < self.starts.len() { new } else { kept.max(new) };
                self.code(indent, content.to_string());
            } else if let Some(comment) = self.behind.remove(&line) {
                self.code(new, self.report.text(comment).trim_end().to_string());
            }
        }
    }

    fn code(&mut self, indent: usize, text: String) {
        self.out.push(Out::Code { indent, text, comment: None });
    }

    /// The head of a block moves from column `old` to `new`.
    fn enter(&mut self, old: usize, new: usize) {
        while self.open.last().is_some_and(|(was, _)| *was >= old) {
            self.open.pop();
        }
        self.open.push((old, new));
    }

    /// Writes lines that end in line `last` of the source, with its comment.
    fn lines(&mut self, last: usize, column: usize, further: usize, lines: Vec<String>) {
        self.next = self.next.max(last + 1);
        let comment = self.behind.remove(&last).map(|span| {
            let from = self.starts[last];
            (self.report.text(span).trim_end().to_string(), self.source[from..span.start as usize].chars().count())
        });
        let count = lines.len();
        for (number, text) in lines.into_iter().enumerate() {
            let comment = if number + 1 == count { comment.clone() } else { None };
            self.out.push(Out::Code { indent: if number == 0 { column } else { further }, text, comment });
        }
    }

    fn node(&mut self, node: &Node, column: usize) {
        match node {
            Node::Map(map) => {
                for entry in &map.entries {
                    self.entry(entry, column, "");
                }
            }
            Node::Seq(seq) => self.seq(seq, column),
            Node::Scalar(span) => {
                let (first, last) = self.lines_of(*span);
                let old = self.column_of(span.start as usize);
                self.lead(first, old, column);
                self.enter(old, column);
                let lines = self.value(*span, false);
                self.lines(last, column, column, lines);
            }
            Node::Empty(_) => {}
        }
    }

    fn seq(&mut self, seq: &Seq, column: usize) {
        for item in &seq.items {
            let old = self.column_of(item.dash.start as usize);
            match &item.value {
                Node::Scalar(span) => {
                    let (first, last) = self.lines_of(*span);
                    self.lead(first, old, column);
                    self.enter(old, column);
                    let mut lines = self.value(*span, false);
                    if let Some(text) = lines.first_mut() {
                        text.insert_str(0, "- ");
                    }
                    self.lines(last, column, column + 4, lines);
                }
                Node::Map(map) => {
                    let first = map.entries.first().map_or(item.dash, |entry| entry.key);
                    self.lead(self.line_of(first.start as usize), old, column);
                    self.enter(old, column);
                    for (number, entry) in map.entries.iter().enumerate() {
                        self.entry(entry, column + 2, if number == 0 { "- " } else { "" });
                    }
                }
                Node::Seq(inner) => self.seq(inner, column + 2),
                Node::Empty(_) => {}
            }
        }
    }

    /// One key with its value. `prefix` stands before the key, in the columns to the left of `column`.
    fn entry(&mut self, entry: &Entry, column: usize, prefix: &str) {
        let start = entry.key.start as usize;
        let (line, old) = (self.line_of(start), self.column_of(start));
        self.lead(line, old, column);
        self.enter(old, column);
        let key = format!("{prefix}{}:", pretty(self.source, &tokens(self.report, entry.key)).join(" "));
        let column_of_prefix = column - prefix.len();
        match &entry.value {
            Node::Scalar(span) => {
                let (first, last) = self.lines_of(*span);
                if let Some(items) = self.unsafe_list(*span) {
                    self.lines(last, column_of_prefix, column, vec![key]);
                    for item in items {
                        self.code(column + 2, format!("- {}", pretty(self.source, &tokens(self.report, item)).join(" ")));
                    }
                } else if first == line {
                    let free = column == 0 && ["gan", "about"].contains(&self.report.text(entry.key));
                    let mut lines = self.value(*span, free);
                    if let Some(text) = lines.first_mut() {
                        text.insert_str(0, &format!("{key} "));
                    }
                    self.lines(last, column_of_prefix, column + 4, lines);
                } else {
                    self.lines(line, column_of_prefix, column, vec![key]);
                    let free = column == 0 && ["gan", "about"].contains(&self.report.text(entry.key));
                    self.lead(first, self.column_of(span.start as usize), column + 4);
                    let lines = self.value(*span, free);
                    self.lines(last, column + 4, column + 4, lines);
                }
            }
            Node::Map(Map { braces: Some(span), entries }) => {
                let (_, last) = self.lines_of(*span);
                if self.safe(&entry.value) {
                    let mut lines = self.value(*span, false);
                    if let Some(text) = lines.first_mut() {
                        text.insert_str(0, &format!("{key} "));
                    }
                    self.lines(last, column_of_prefix, column + 4, lines);
                } else {
                    self.lines(last, column_of_prefix, column, vec![key]);
                    for inner in entries {
                        self.entry(inner, column + 2, "");
                    }
                }
            }
            Node::Map(_) | Node::Seq(_) => {
                self.lines(line, column_of_prefix, column, vec![key]);
                self.node(&entry.value, column + 2);
            }
            Node::Empty(_) => self.lines(line, column_of_prefix, column, vec![key]),
        }
    }

    fn lines_of(&self, span: Span) -> (usize, usize) {
        (self.line_of(span.start as usize), self.line_of((span.end as usize).saturating_sub(1)))
    }

    /// The canonical lines of a value.
    fn value(&self, span: Span, free: bool) -> Vec<String> {
        if free && !self.report.text(span).starts_with('"') {
            return self.report.text(span).lines().map(|line| line.trim().to_string()).collect();
        }
        pretty(self.source, &tokens(self.report, span))
    }

    /// Whether YAML reads a mapping in braces, or a value inside one, as we do.
    fn safe(&self, node: &Node) -> bool {
        match node {
            Node::Map(map) => map.entries.iter().all(|entry| self.safe(&entry.value)),
            Node::Scalar(span) => {
                let tokens = tokens(self.report, *span);
                tokens.first().is_some_and(|first| first.is("[")) && self.unsafe_list(*span).is_none() || plain_in_flow(&tokens)
            }
            Node::Seq(_) | Node::Empty(_) => true,
        }
    }

    /// The elements of a value that is a list and that YAML would cut elsewhere.
    fn unsafe_list(&self, span: Span) -> Option<Vec<Span>> {
        let tokens = tokens(self.report, span);
        let (first, rest) = tokens.split_first()?;
        let (last, inner) = rest.split_last()?;
        if !first.is("[") || !last.is("]") {
            return None;
        }
        let mut depth = 0;
        let mut elements: Vec<&[Token]> = Vec::new();
        let mut from = 0;
        for (at, token) in inner.iter().enumerate() {
            if token.kind == Kind::Open {
                depth += 1;
            } else if token.kind == Kind::Close {
                depth -= 1;
            } else if depth == 0 && token.is(",") {
                elements.push(&inner[from..at]);
                from = at + 1;
            }
        }
        if from < inner.len() {
            elements.push(&inner[from..]);
        }
        if elements.iter().all(|element| plain_in_flow(element)) {
            return None;
        }
        elements.iter().map(|element| Some(element.first()?.span.to(element.last()?.span))).collect()
    }
}

/// Whether a value inside braces has no sign that would end it for YAML.
fn plain_in_flow(tokens: &[Token]) -> bool {
    match tokens {
        [only] => only.kind != Kind::Open,
        _ => !tokens.iter().any(|token| token.kind == Kind::Text || ["[", "]", "{", "}", ","].iter().any(|sign| token.is(sign))),
    }
}

/// The canonical spelling of tokens; a line for each line they stand on.
fn pretty(source: &str, tokens: &[Token]) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut before: Option<(&Token, bool)> = None;
    for token in tokens {
        let unary =
            token.is("-") && !before.is_some_and(|(last, _)| last.ends_operand() && !["in", "repeat"].contains(&last.text));
        if let Some((last, last_unary)) = before {
            if source[last.span.end as usize..token.span.start as usize].contains('\n') {
                lines.push(String::new());
            } else if !last_unary
                && apart(last, token, unary)
                && let Some(line) = lines.last_mut()
            {
                line.push(' ');
            }
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(token.text);
        }
        before = Some((token, unary));
    }
    lines
}

/// Whether a blank stands between two tokens of a line.
fn apart(last: &Token, token: &Token, unary: bool) -> bool {
    let tight = ["=", "*", "/", "^"];
    let wide = ["+", "-", "|", "->", ",", ":"];
    if last.kind == Kind::Open || token.kind == Kind::Close || token.is(",") || token.is(":") {
        return false;
    }
    if wide.iter().any(|sign| last.is(sign)) {
        return true;
    }
    if tight.iter().any(|sign| last.is(sign)) || !unary && tight.iter().any(|sign| token.is(sign)) {
        return false;
    }
    if token.kind == Kind::Open {
        return !last.ends_operand() || ["in", "repeat"].contains(&last.text);
    }
    true
}

/// Puts lines together: comments in columns, empty lines one at a time.
fn assemble(lines: Vec<Out>) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < lines.len() {
        let group = lines[at..].iter().take_while(|line| matches!(line, Out::Code { comment: Some(_), .. })).count();
        let column = lines[at..at + group].iter().map(wanted_column).max().unwrap_or(0);
        for line in &lines[at..at + group.max(1)] {
            match line {
                Out::Empty if out.is_empty() || out.ends_with("\n\n") => {}
                Out::Empty => out.push('\n'),
                Out::Code { indent, text, comment } => {
                    out.extend(std::iter::repeat_n(' ', *indent));
                    out.push_str(text);
                    if let Some((comment, _)) = comment {
                        let width = indent + text.chars().count();
                        out.extend(std::iter::repeat_n(' ', column.saturating_sub(width).max(2)));
                        out.push_str(comment);
                    }
                    out.push('\n');
                }
            }
        }
        at += group.max(1);
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// Where the comment behind a line would like to stand.
fn wanted_column(line: &Out) -> usize {
    match line {
        Out::Code { indent, text, comment: Some((_, column)) } => {
            let own = indent + text.chars().count() + 2;
            [own, *column].into_iter().filter(|column| *column <= MAX_COMMENT_COLUMN).max().unwrap_or(0)
        }
        Out::Code { comment: None, .. } | Out::Empty => 0,
    }
}
