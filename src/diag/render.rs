//! Diagnostics as text for people and as JSON for programs.

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, FileId, Severity, Sources, Span};

/// The text of all findings, each with the lines of the source it is about, and a summary in the last line. Empty without findings.
///
/// With `colour` it holds ANSI escapes; without, the same findings give the same bytes on every machine.
pub fn text(sources: &Sources, findings: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for finding in findings {
        out.push_str(&one(&renderer, sources, finding));
        out.push_str("\n\n");
    }
    if !findings.is_empty() {
        out.push_str(&summary(sources, findings));
        out.push('\n');
    }
    out
}

fn one(renderer: &Renderer, sources: &Sources, finding: &Diagnostic) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut elements: Vec<Element> = Vec::new();
    for file in files(finding) {
        elements.push(excerpt(sources, finding, file));
    }
    let rows = [("expected", &finding.expected), ("found", &finding.found), ("hint", &finding.hint)];
    for (name, words) in rows {
        if let Some(words) = words {
            elements.push(Level::NOTE.with_name(Some(name)).message(plain(words)).into());
        }
    }
    if elements.is_empty() {
        elements.push(Origin::path(sources.get(FileId(0)).name.clone()).into());
    }
    renderer.render(&[level.primary_title(plain(&finding.message)).id(finding.code).elements(elements)])
}

/// The sources a finding points into, its own place first.
fn files(finding: &Diagnostic) -> Vec<FileId> {
    let mut files = Vec::new();
    for span in finding.span.iter().chain(finding.related.iter().map(|(span, _)| span)) {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    files
}

fn excerpt<'a>(sources: &'a Sources, finding: &'a Diagnostic, file: FileId) -> Element<'a> {
    let source = sources.get(file);
    let mut snippet = Snippet::source(source.text.as_str()).path(source.name.as_str()).line_start(1).fold(true);
    if let Some(span) = finding.span.filter(|span| span.file == file) {
        let mark = AnnotationKind::Primary.span(range(&source.text, span));
        snippet = snippet.annotation(if finding.label.is_empty() { mark } else { mark.label(plain(&finding.label)) });
    }
    for (span, words) in finding.related.iter().filter(|(span, _)| span.file == file) {
        snippet = snippet.annotation(AnnotationKind::Context.span(range(&source.text, *span)).label(plain(words)));
    }
    snippet.into()
}

/// The bytes to mark: a span over several lines is marked in its first one only.
fn range(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = (span.start as usize).min(text.len());
    let end = (span.end as usize).clamp(start, text.len());
    let first = text[start..end].lines().next().unwrap_or("").len();
    start..start + first
}

/// Words without control characters: parts of them come from the file.
fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `2 errors, 1 warning in FILE`.
pub fn summary(sources: &Sources, findings: &[Diagnostic]) -> String {
    let count = |severity, word: &str| match findings.iter().filter(|d| d.severity == severity).count() {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let counts: Vec<_> = [count(Severity::Error, "error"), count(Severity::Warning, "warning")].into_iter().flatten().collect();
    let mut files: Vec<FileId> = findings.iter().filter_map(|d| d.span.map(|span| span.file)).collect();
    files.sort();
    files.dedup();
    if files.is_empty() {
        files.push(FileId(0));
    }
    let names: Vec<_> = files.into_iter().map(|file| sources.get(file).name.as_str()).collect();
    format!("{} in {}", counts.join(", "), names.join(" and "))
}

/// All findings as an array of objects with the keys `code, severity, message, file, line, column, end_line, end_column, label, expected,
/// found, hint, related`. Lines and columns count from 1, columns in characters; what is absent is `null`.
pub fn json(sources: &Sources, findings: &[Diagnostic]) -> Value {
    findings.iter().map(|finding| json_one(sources, finding)).collect()
}

fn json_one(sources: &Sources, finding: &Diagnostic) -> Value {
    let mut object = json!({
        "code": finding.code,
        "severity": match finding.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": finding.message,
    });
    place(sources, finding.span, &mut object);
    object["label"] = if finding.label.is_empty() { Value::Null } else { json!(finding.label) };
    object["expected"] = json!(finding.expected);
    object["found"] = json!(finding.found);
    object["hint"] = json!(finding.hint);
    let related = finding.related.iter().map(|(span, words)| {
        let mut other = json!({ "message": words });
        place(sources, Some(*span), &mut other);
        other
    });
    object["related"] = related.collect();
    object
}

fn place(sources: &Sources, span: Option<Span>, object: &mut Value) {
    let [from, to] = match span {
        Some(span) => [span.start, span.end].map(|at| Some(line_column(&sources.get(span.file).text, at as usize))),
        None => [None, None],
    };
    object["file"] = json!(span.map(|span| &sources.get(span.file).name));
    object["line"] = json!(from.map(|(line, _)| line));
    object["column"] = json!(from.map(|(_, column)| column));
    object["end_line"] = json!(to.map(|(line, _)| line));
    object["end_column"] = json!(to.map(|(_, column)| column));
}

/// Line and column of a byte, both from 1; the column counts characters.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// The candidate most like `word`, if one is alike enough to be meant.
pub fn suggest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    // Nobody means a word of a screenful, and the distance takes the product of both lengths.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let near = |candidate: &&str| {
        let distance = strsim::damerau_levenshtein(word, candidate);
        (distance <= allowed && distance < candidate.chars().count().max(word.chars().count())).then_some(distance)
    };
    let best = candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| near(&candidate).map(|distance| (distance, candidate)));
    best.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate.to_string())
}
