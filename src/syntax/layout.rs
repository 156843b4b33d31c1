//! Lines to blocks: mappings and sequences by the columns they start in, as YAML does.
//!
//! On entry the text of a file. On exit a tree of [`Node`]s at most [`MAX_NESTING`](super::MAX_NESTING) deep, whose scalars are spans of the text, read by
//! nobody yet. Lines that fit nowhere are reported, and taken where they most likely belong, so that reading goes on.

use std::collections::BTreeMap;

use pest::Parser;

use super::grammar::{Gan, Kind, Rule, tokens};
use super::sections::SECTIONS;
use super::wrong::HEADS;
use super::{MAX_BYTES, MAX_NESTING, Report};
use crate::diag::{Diagnostic, Diagnostics, FileId, Sources, Span, render::suggest};

/// A block of a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// `KEY: VALUE` lines in one column, or a mapping in braces.
    Map(Map),
    /// Lines that begin with `- ` in one column.
    Seq(Seq),
    /// A value, on one line or going on in the next ones.
    Scalar(Span),
    /// Nothing where something could be; the place is the end of what is before.
    Empty(Span),
}

/// A mapping.
#[derive(Clone, PartialEq, Debug)]
pub struct Map {
    /// In the order of the text.
    pub entries: Vec<Entry>,
    /// The braces, when it is written in braces.
    pub braces: Option<Span>,
}

/// One key with its value.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The key, without the colon.
    pub key: Span,
    /// Its value.
    pub value: Node,
}

/// A sequence.
#[derive(Clone, PartialEq, Debug)]
pub struct Seq {
    /// In the order of the text.
    pub items: Vec<Item>,
}

/// One item of a sequence.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// The `-`.
    pub dash: Span,
    /// What follows it.
    pub value: Node,
}

impl Node {
    /// A place that stands for the block: its first key, dash or character.
    pub fn span(&self) -> Span {
        match self {
            Node::Map(Map { braces: Some(span), .. }) => *span,
            Node::Map(map) => map.entries.first().map_or(Span::default(), |entry| entry.key),
            Node::Seq(seq) => seq.items.first().map_or(Span::default(), |item| item.dash),
            Node::Scalar(span) | Node::Empty(span) => *span,
        }
    }
}

/// The blocks of a whole file.
///
/// # Errors
/// What is wrong with its lines and columns.
pub fn layout(sources: &Sources, file: FileId) -> Result<Node, Diagnostics> {
    let mut report = Report::new(sources, file);
    let node = read(&mut report);
    report.finish(node)
}

/// The blocks of a whole file; problems go to the report.
pub(super) fn read(report: &mut Report) -> Node {
    let text = report.source();
    if text.len() > MAX_BYTES {
        report.push(
            Diagnostic::new("E0105", report.span(0, 0), "this file is too large for a spec")
                .expected(format!("at most {MAX_BYTES} bytes"))
                .found(format!("{} bytes", text.len()))
                .hint("a spec is text of a few pages; data belongs into files of its own"),
        );
        return Node::Empty(report.span(0, 0));
    }
    let lines = lines(report);
    if lines.is_empty() {
        return Node::Empty(report.span(0, 0));
    }
    let mut reader = Reader { lines, at: 0, bit: 0, report };
    reader.node(None, 0)
}

/// A mapping in braces that stands as a scalar, taken apart; any other scalar as it is.
pub(super) fn braces(report: &mut Report, scalar: Span) -> Node {
    let text = report.text(scalar);
    if !text.starts_with('{') || !balanced(report, scalar) {
        return Node::Scalar(scalar);
    }
    match Gan::parse(Rule::flow, text) {
        Ok(mut pairs) => match pairs.next().and_then(|flow| flow.into_inner().next()) {
            Some(map) => flow_map(report, scalar.start as usize, map),
            None => Node::Scalar(scalar),
        },
        Err(_) => Node::Scalar(scalar),
    }
}

fn flow_map(report: &mut Report, base: usize, map: pest::iterators::Pair<Rule>) -> Node {
    let file = report.file;
    let span = |s: pest::Span| {
        let (text, start) = (s.as_str(), base + s.start());
        Span::new(file, start, start + text.trim_end().len())
    };
    let braces = Some(span(map.as_span()));
    let mut entries = Vec::new();
    for pair in map.into_inner() {
        let mut parts = pair.into_inner();
        let (Some(key), Some(_colon), Some(value)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let value = match value.as_rule() {
            Rule::flow_map => flow_map(report, base, value),
            _ => Node::Scalar(span(value.as_span())),
        };
        entries.push(Entry { key: span(key.as_span()), value });
    }
    duplicates(report, &entries);
    Node::Map(Map { entries, braces })
}

/// Reports keys that a mapping has twice.
fn duplicates(report: &mut Report, entries: &[Entry]) {
    let mut seen = std::collections::HashMap::new();
    for entry in entries {
        let name = tokens(report, entry.key).iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
        match seen.get(&name) {
            Some(first) => report.push(
                Diagnostic::new("E0111", entry.key, format!("`{}` is there twice", first_line(report.text(entry.key))))
                    .label("again")
                    .related(*first, "first here")
                    .hint("keep one of them, or give the second another name"),
            ),
            None => {
                seen.insert(name, entry.key);
            }
        }
    }
}

/// Whether every bracket of a text is closed by its partner, no deeper than allowed.
fn balanced(report: &Report, span: Span) -> bool {
    let mut open = Vec::new();
    for token in tokens(report, span) {
        match token.kind {
            Kind::Open => open.push(token.text),
            Kind::Close => match (open.pop(), token.text) {
                (Some("("), ")") | (Some("["), "]") | (Some("{"), "}") => {}
                (_, _) => return false,
            },
            Kind::OpenText => return false,
            Kind::Name | Kind::Number | Kind::BadNumber | Kind::Text | Kind::BadText => {}
            Kind::Arrow | Kind::Sign | Kind::Stray => {}
        }
        if open.len() > MAX_NESTING {
            return false;
        }
    }
    open.is_empty()
}

/// The comments that stand behind code, by line.
pub(super) fn comments(report: &mut Report) -> BTreeMap<usize, Span> {
    lines(report).into_iter().filter_map(|line| Some((line.number, line.comment?))).collect()
}

/// What a line brings to the blocks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Bit {
    Dash(Span),
    Key(Span),
    Text(Span),
}

impl Bit {
    fn span(self) -> Span {
        match self {
            Bit::Dash(span) | Bit::Key(span) | Bit::Text(span) => span,
        }
    }
}

/// A line with content.
struct Line {
    /// Counted from 0, with the empty ones.
    number: usize,
    /// Offset of its first byte.
    start: usize,
    /// Its indentation has tabs, so its column says little.
    tabs: bool,
    /// Never empty.
    bits: Vec<Bit>,
    /// Offset of its last content byte + 1.
    end: usize,
    comment: Option<Span>,
}

fn lines(report: &mut Report) -> Vec<Line> {
    let mut out = Vec::new();
    let mut start = 0;
    for (number, raw) in report.source().split('\n').enumerate() {
        if let Some(line) = line(report, number, start, raw) {
            out.push(line);
        }
        start += raw.len() + 1;
    }
    out
}

fn tab(report: &mut Report, place: Span) {
    report.push(
        Diagnostic::new("E0101", place, "a tab in the indentation")
            .label("tab")
            .expected("blanks, two for each level")
            .found("a tab, which every editor shows with another width")
            .hint("replace it by blanks; most editors have a setting for that"),
    );
}

fn line(report: &mut Report, number: usize, line_start: usize, raw: &str) -> Option<Line> {
    let mut start = line_start;
    let mut text = raw.strip_suffix('\r').unwrap_or(raw);
    if number == 0 && text.starts_with('\u{feff}') {
        (start, text) = (start + 3, &text[3..]);
    }
    for (at, c) in text.char_indices().filter(|(_, c)| c.is_control() && *c != '\t') {
        let place = report.span(start + at, start + at + c.len_utf8());
        report.push(
            Diagnostic::new("E0104", place, "a control character")
                .found(format!("U+{:04X}", u32::from(c)))
                .hint("remove it; text files hold printable characters, blanks, tabs and line ends"),
        );
    }
    let lead = text.len() - text.trim_start_matches([' ', '\t']).len();
    let tabs = text[..lead].contains('\t');
    let rest = &text[lead..];
    // YAML refuses it on empty lines too, where they follow a value.
    if let Some(at) = text[..lead].find('\t') {
        tab(report, report.span(start + at, start + lead));
    }
    if rest.is_empty() || rest.starts_with('#') {
        return None;
    }
    // From here on the columns count in bytes, which are blanks before the content.
    let base = start + lead;
    let parsed = match Gan::parse(Rule::line, rest) {
        Ok(mut pairs) => pairs.next()?,
        Err(_) => {
            report.push(Diagnostic::new("E0104", report.span(base, base + rest.len()), "this line cannot be read"));
            return None;
        }
    };
    let span = |report: &Report, s: pest::Span| {
        report.span(base + s.start(), base + s.start() + s.as_str().trim_end_matches([' ', '\t']).len())
    };
    let mut bits = Vec::new();
    let mut comment = None;
    let mut end = base;
    for part in parsed.into_inner() {
        let place = span(report, part.as_span());
        match part.as_rule() {
            Rule::dash => bits.push(Bit::Dash(place)),
            Rule::text => bits.push(Bit::Text(place)),
            Rule::comment => comment = Some(place),
            Rule::entry => {
                for piece in part.into_inner() {
                    let place = span(report, piece.as_span());
                    match piece.as_rule() {
                        Rule::key => bits.push(Bit::Key(place)),
                        Rule::text => bits.push(Bit::Text(place)),
                        _ => end = end.max(place.end as usize),
                    }
                }
            }
            _ => {}
        }
    }
    let content = bits.iter().find(|bit| !matches!(bit, Bit::Dash(_))).map_or(base, |bit| bit.span().start as usize);
    let behind_dash = &report.source()[base..content];
    if let Some(at) = behind_dash.find('\t') {
        tab(report, report.span(base + at, content));
    }
    let tabs = tabs || behind_dash.contains('\t');
    end = bits.iter().map(|bit| bit.span().end as usize).max()?.max(end);
    Some(Line { number, start, tabs, bits, end, comment })
}

/// Reads nodes from lines. `at` and `bit` are the place reached.
struct Reader<'r, 'a> {
    lines: Vec<Line>,
    at: usize,
    bit: usize,
    report: &'r mut Report<'a>,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<Bit> {
        self.lines.get(self.at).map(|line| line.bits[self.bit])
    }

    /// The column of the next bit.
    fn column(&self) -> usize {
        match self.lines.get(self.at) {
            Some(line) => line.bits[self.bit].span().start as usize - line.start,
            None => 0,
        }
    }

    fn advance(&mut self) {
        self.bit += 1;
        if self.lines.get(self.at).is_some_and(|line| self.bit >= line.bits.len()) {
            self.at += 1;
            self.bit = 0;
        }
    }

    /// The block that starts here; `parent` is the column it must lie behind.
    fn node(&mut self, parent: Option<usize>, depth: usize) -> Node {
        let Some(bit) = self.peek() else { return Node::Empty(self.report.span(0, 0)) };
        if depth > MAX_NESTING {
            self.too_deep(bit, parent);
            return Node::Empty(bit.span());
        }
        match bit {
            Bit::Dash(_) => Node::Seq(self.seq(parent, false, depth)),
            Bit::Key(_) => Node::Map(self.map(parent, depth)),
            Bit::Text(_) if parent.is_none() || self.among_keys() || self.heads_lines() => Node::Map(self.map(parent, depth)),
            Bit::Text(span) => self.scalar(span, parent),
        }
    }

    /// Whether this line without a colon stands in the column of keys below it.
    fn among_keys(&self) -> bool {
        let column = self.column();
        let below = (self.at + 1..self.lines.len()).map(|at| (self.line_column(at), self.lines[at].bits[0]));
        let mut level = below.take_while(|(c, _)| *c >= column).filter(|(c, _)| *c == column);
        self.bit == 0 && level.any(|(_, bit)| matches!(bit, Bit::Key(_)))
    }

    /// Whether the next line is further in and cannot continue a value.
    fn heads_lines(&self) -> bool {
        let Some(next) = self.lines.get(self.at + 1) else { return false };
        self.bit == 0 && self.line_column(self.at + 1) > self.column() && !matches!(next.bits[0], Bit::Text(_))
    }

    fn too_deep(&mut self, bit: Bit, parent: Option<usize>) {
        self.report.push(
            Diagnostic::new("E0105", bit.span(), "blocks are nested too deep")
                .expected(format!("at most {MAX_NESTING} levels"))
                .hint("give the inner part a name under `blocks:`"),
        );
        let first = self.at;
        while self.at < self.lines.len() && (self.at == first || parent.is_none_or(|p| self.line_column(self.at) > p)) {
            self.at += 1;
        }
        self.bit = 0;
    }

    fn line_column(&self, at: usize) -> usize {
        let line = &self.lines[at];
        line.bits[0].span().start as usize - line.start
    }

    /// Items in the column of the first one. `same` allows them to stand in the column of their key.
    fn seq(&mut self, parent: Option<usize>, same: bool, depth: usize) -> Seq {
        let column = self.column();
        let mut items = Vec::new();
        while let Some(bit) = self.peek() {
            let here = self.column();
            let ours = match bit {
                Bit::Dash(_) => here == column || self.strayed(column, parent, &items),
                Bit::Key(_) | Bit::Text(_) if same && here <= column => false,
                Bit::Key(_) | Bit::Text(_) => here == column && self.missing_dash(bit) || self.strayed(column, parent, &items),
            };
            if !ours {
                break;
            }
            let dash = match bit {
                Bit::Dash(span) => span,
                Bit::Key(span) | Bit::Text(span) => self.report.span(span.start as usize, span.start as usize),
            };
            let line = self.at;
            if let Bit::Dash(_) = bit {
                self.advance();
            }
            let value = match self.peek() {
                Some(Bit::Text(span)) if self.at == line && self.heads_items(span) => Node::Map(self.map(Some(here), depth + 1)),
                Some(Bit::Text(span)) if self.at == line => self.scalar(span, Some(here)),
                Some(_) if self.at == line || self.column() > here => self.node(Some(here), depth + 1),
                Some(_) | None => Node::Empty(dash),
            };
            items.push(Item { dash, value });
        }
        Seq { items }
    }

    /// Whether a line begins like a nested statement, and items stand further in below it: only its colon is missing.
    fn heads_items(&self, text: Span) -> bool {
        let word = self.report.text(text).split(' ').next().unwrap_or("");
        let Some(next) = self.lines.get(self.at + 1) else { return false };
        HEADS.contains(&word) && matches!(next.bits[0], Bit::Dash(_)) && self.line_column(self.at + 1) > self.column()
    }

    fn missing_dash(&mut self, bit: Bit) -> bool {
        self.report.push(
            Diagnostic::new("E0123", bit.span(), "this line lacks its `- `")
                .expected("a list item, as the lines above")
                .hint(format!("write `- {}`", first_line(self.report.text(bit.span())))),
        );
        true
    }

    /// Keys in the column of the first one.
    fn map(&mut self, parent: Option<usize>, depth: usize) -> Map {
        let column = self.column();
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(bit) = self.peek() {
            let here = self.column();
            let first_of_line = self.bit == 0;
            if here != column {
                if !self.strayed(column, parent, &entries) {
                    break;
                }
                if !matches!(bit, Bit::Key(_)) {
                    self.skip_deeper(here);
                    continue;
                }
            }
            let line = self.at;
            let (key, value) = match bit {
                Bit::Key(key) => {
                    self.advance();
                    let value = match self.peek() {
                        Some(Bit::Text(text)) if self.at == line => self.scalar(text, Some(here)),
                        Some(_) if self.column() > here => self.node(Some(here), depth + 1),
                        Some(Bit::Dash(_)) if self.column() == here && self.bit == 0 => {
                            Node::Seq(self.seq(Some(here), true, depth + 1))
                        }
                        Some(_) | None => Node::Empty(key),
                    };
                    (key, value)
                }
                Bit::Dash(dash) if first_of_line => {
                    self.report.push(
                        Diagnostic::new("E0123", dash, "a list item among keys")
                            .expected("`KEY: VALUE`, as the lines around it")
                            .hint("remove the `- `, or indent the line so that it belongs to the key above it"),
                    );
                    self.skip_deeper(here);
                    continue;
                }
                Bit::Dash(span) | Bit::Text(span) => match self.keyless(span, here, depth) {
                    Some(entry) => entry,
                    None => continue,
                },
            };
            entries.push(Entry { key, value });
        }
        duplicates(self.report, &entries);
        Map { entries, braces: None }
    }

    /// A line without a colon where a key should be. With deeper lines below it, it is a key whose colon is missing.
    fn keyless(&mut self, span: Span, here: usize, depth: usize) -> Option<(Span, Node)> {
        let text = first_line(self.report.text(span));
        let word = text.split([' ', '=', ':']).next().unwrap_or("");
        let problem = Diagnostic::new("E0103", span, "a key without its colon").expected("`KEY: VALUE`");
        let has_children = self.lines.get(self.at + 1).is_some() && self.line_column(self.at + 1) > here;
        let problem = match text.find(['=', ':']) {
            _ if ["---", "..."].contains(&text.as_str()) => problem.hint("a file is one spec; remove this line"),
            _ if depth == 0 && !has_children && suggest(word, SECTIONS).is_none() => {
                problem.hint(format!("a spec is made of sections: {}", SECTIONS.join(", ")))
            }
            _ if has_children => problem.hint(format!("write `{text}:`")),
            Some(at) if text[at..].starts_with(':') => {
                problem.hint(format!("put a blank after the colon: `{}: {}`", &text[..at], &text[at + 1..]))
            }
            Some(at) => Diagnostic { code: "E0116", message: "`=` where a key takes `:`".into(), ..problem }.hint(format!(
                "write `{}: {}`; `=` names an argument inside a call",
                text[..at].trim(),
                text[at + 1..].trim()
            )),
            None if text.starts_with(['"', '\'']) => problem.hint("keys are written without quotes"),
            None => match text.split_once(' ') {
                Some((_, rest)) => problem.hint(format!("write `{word}: {}`", rest.trim())),
                None => problem.hint(format!("write `{word}:`")),
            },
        };
        self.report.push(problem);
        self.at += 1;
        self.bit = 0;
        has_children.then(|| (span, self.node(Some(here), depth + 1)))
    }

    /// A line whose column is not that of its block. True: it is reported and read as part of the block. False: it belongs to an
    /// outer block.
    fn strayed<T>(&mut self, column: usize, parent: Option<usize>, before: &[T]) -> bool {
        let here = self.column();
        if parent.is_some_and(|p| here <= p) || before.is_empty() {
            return before.is_empty();
        }
        let line = &self.lines[self.at];
        if line.tabs {
            return true;
        }
        let span = self.report.span(line.start, line.start + here);
        let above = self.at.checked_sub(1).map(|at| &self.lines[at]);
        let comment = above.and_then(|line| line.comment.filter(|_| here > column));
        let problem = Diagnostic::new("E0102", span, "the indentation fits no block")
            .label(blanks(here))
            .expected(match parent {
                Some(p) => format!("{}, as the lines of this block, or at most {p}, to leave it", blanks(column)),
                None => format!("{}, as the lines of this block", blanks(column)),
            })
            .found(blanks(here));
        self.report.push(match comment {
            Some(comment) => problem
                .related(comment, "a comment ends the value before it")
                .hint("to continue a value in the next line, put the comment above it"),
            None if here > column => problem.hint("only the lines after a `KEY:` without a value are indented further"),
            None => problem.hint("line it up with the lines it belongs to"),
        });
        true
    }

    /// A value from here on. It goes on over the lines that are indented further than `parent`.
    fn scalar(&mut self, first: Span, parent: Option<usize>) -> Node {
        let above = self.at.checked_sub(1).and_then(|at| self.lines[at].bits.last());
        let before = self.bit.checked_sub(1).map_or(above, |bit| self.lines[self.at].bits.get(bit));
        let item = matches!(before, Some(Bit::Dash(_)));
        let behind = parent.unwrap_or(0);
        let mut end = first.end as usize;
        let mut open = Brackets::default();
        open.read(self.report.text(first));
        loop {
            let line = &self.lines[self.at];
            let (number, comment) = (line.number, line.comment);
            self.at += 1;
            self.bit = 0;
            let Some(next) = self.lines.get(self.at) else { break };
            if self.line_column(self.at) <= behind || comment.is_some() || next.number != number + 1 || next.tabs {
                break;
            }
            let inside = open.any();
            match next.bits[0] {
                Bit::Dash(_) if item => break,
                Bit::Dash(_) | Bit::Key(_) | Bit::Text(_) => {}
            }
            if !inside && next.bits.iter().any(|bit| matches!(bit, Bit::Key(_))) {
                break;
            }
            let from = next.bits[0].span().start as usize;
            end = next.end;
            let text = &self.report.source()[from..end];
            open.read(text);
        }
        braces(self.report, self.report.span(first.start as usize, end))
    }

    /// Passes over this line and all that are indented further.
    fn skip_deeper(&mut self, column: usize) {
        self.at += 1;
        self.bit = 0;
        while self.at < self.lines.len() && self.line_column(self.at) > column {
            self.at += 1;
        }
    }
}

fn blanks(count: usize) -> String {
    format!("{count} blank{}", if count == 1 { "" } else { "s" })
}

/// Counts the brackets that are open, as far as a continued value needs it.
#[derive(Default)]
struct Brackets {
    open: usize,
}

impl Brackets {
    fn read(&mut self, text: &str) {
        let mut quoted = false;
        let mut escaped = false;
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' | '[' | '{' if !quoted => self.open += 1,
                ')' | ']' | '}' if !quoted => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn any(&self) -> bool {
        self.open > 0
    }
}

/// The first line of a text, cut to a length that fits into a message.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("").trim_end();
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_string(),
    }
}
