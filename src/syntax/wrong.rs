//! Explains keys and values that do not match the grammar: from the tokens, in the words of the language.
//!
//! `tokens_are_sound` looks before pest does, at what is wrong whatever the form; `explain` looks at the place where pest stopped.

use super::grammar::{Kind, Rule, Token};
use super::layout::first_line;
use super::{MAX_DEPTH, MAX_NESTING, Report, clamp};
use crate::diag::{Diagnostic, Span, render::suggest};

/// What a key or a value should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Value,
    Pipeline,
    PlainKey,
    NamesKey,
    DefKey,
    Signature,
    GameKey,
    Head,
}

impl Form {
    /// The rule that matches it.
    pub fn rule(self) -> Rule {
        match self {
            Form::Value => Rule::value,
            Form::Pipeline => Rule::pipeline,
            Form::PlainKey => Rule::plain_key,
            Form::NamesKey => Rule::names_key,
            Form::DefKey => Rule::def_key,
            Form::Signature => Rule::signature,
            Form::GameKey => Rule::game_key,
            Form::Head => Rule::head_key,
        }
    }

    fn is_key(self) -> bool {
        match self {
            Form::Value | Form::Pipeline => false,
            Form::PlainKey | Form::NamesKey | Form::DefKey | Form::Signature | Form::GameKey | Form::Head => true,
        }
    }
}

/// The longest key that YAML can tell from a value.
const MAX_KEY: usize = 1024;
/// The words that may begin a nested statement.
pub(super) const HEADS: [&str; 5] = ["for", "repeat", "residual", "grow", "shrink"];

/// Reports what is wrong whatever the form: characters, numbers, strings, brackets, and what YAML would read otherwise.
pub(super) fn tokens_are_sound(report: &mut Report, span: Span, form: Form, tokens: &[Token]) -> bool {
    let before = report.found.len();
    characters(report, tokens, form);
    if !form.is_key() {
        means(report, tokens);
    }
    brackets(report, tokens);
    if report.found.len() == before && !report.from_command_line {
        yaml(report, span, form, tokens);
    }
    report.found.len() == before
}

/// `E(...)`: it would be a call, but nothing can have that name.
fn means(report: &mut Report, tokens: &[Token]) {
    for pair in tokens.windows(2) {
        if pair[0].kind == Kind::Name && pair[0].text == "E" && pair[1].is("(") {
            report.push(
                Diagnostic::new("E0115", pair[0].span.to(pair[1].span), "the mean is written with square brackets")
                    .expected("`E[...]`")
                    .found("`E(...)`")
                    .hint("`E[...]` averages over the batch; `E` cannot be the name of a net"),
            );
        }
    }
}

fn characters(report: &mut Report, tokens: &[Token], form: Form) {
    let mut strays = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::BadNumber => report.push(bad_number(token)),
            Kind::OpenText if cut_by_comment(report, token) => {
                let end = token.span.end as usize;
                report.push(
                    Diagnostic::new("E0125", report.span(end, end + 2), "YAML starts a comment here, string or not")
                        .related(token.span, "the string begins here")
                        .hint("write the blank as `\\x20#`"),
                );
            }
            Kind::OpenText => report.push(
                Diagnostic::new("E0108", token.span, "a string that does not end")
                    .label("starts here")
                    .expected("a closing `\"` in the same line")
                    .hint("inside a string write `\\\"` for a quote"),
            ),
            Kind::BadText => report.push(
                Diagnostic::new("E0126", token.span, "a string with an unknown escape")
                    .expected("after a backslash one of `\"`, `\\`, `n`, `t`, `x` with two hexadecimal digits")
                    .hint("write `\\\\` for a backslash, or `/` in paths"),
            ),
            Kind::Stray if !strays.contains(&token.text) => {
                strays.push(token.text);
                let arrow = token.text == ">" && at.checked_sub(1).is_some_and(|before| tokens[before].is("="));
                report.push(match arrow {
                    true => Diagnostic::new("E0117", tokens[at - 1].span.to(token.span), "this is no arrow")
                        .found("`=>`")
                        .hint("an arrow is written `->`"),
                    false => stray(token, form),
                });
            }
            Kind::Stray | Kind::Name | Kind::Number | Kind::Text | Kind::Arrow | Kind::Open | Kind::Close | Kind::Sign => {}
        }
    }
}

/// Whether the line goes on after an open string with what YAML takes for a comment.
fn cut_by_comment(report: &Report, token: &Token) -> bool {
    let rest = &report.source()[token.span.end as usize..];
    rest.starts_with([' ', '\t']) && rest.trim_start_matches([' ', '\t']).starts_with('#')
}

fn bad_number(token: &Token) -> Diagnostic {
    let text = first_line(token.text);
    let problem = Diagnostic::new("E0109", token.span, format!("`{text}` is not a number"))
        .expected("a number such as `2`, `0.5`, `2e-4`, `600k` or `6M`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    if text.starts_with('.') {
        problem.hint(format!("write `0{text}`"))
    } else if text.ends_with('.') {
        problem.hint(format!("write `{}`", text.trim_end_matches('.')))
    } else if text.contains('_') {
        problem.hint(format!("write `{}`", text.replace('_', "")))
    } else if ["K", "m"].contains(&unit) {
        problem.hint("a thousand is `k`, a million is `M`")
    } else if !unit.is_empty() && text.bytes().filter(|c| c.is_ascii_alphabetic()).count() == unit.len() && unit != "e" {
        problem.hint(format!("write `{digits}*{unit}` for a product; a name starts with a letter"))
    } else {
        problem
    }
}

fn stray(token: &Token, form: Form) -> Diagnostic {
    let problem = Diagnostic::new("E0104", token.span, format!("the character `{}` has no meaning here", first_line(token.text)));
    match token.text {
        "'" | "“" | "”" | "„" | "‘" | "’" => problem.hint("strings stand between straight double quotes: `\"text\"`"),
        "−" | "–" | "—" => problem.hint("write the minus of the keyboard, `-`"),
        "×" | "·" | "∗" => problem.hint("write `*`"),
        "÷" => problem.hint("write `/`"),
        "→" => problem.hint("write `->`"),
        "²" => problem.hint("write `^2`"),
        "½" => problem.hint("write `0.5`"),
        "𝔼" => problem.hint("write `E[...]`"),
        ";" => problem.hint("every statement has a line of its own"),
        "<" | ">" | "!" | "&" | "?" => {
            problem.hint("there are no comparisons and no conditions; see `max`, `min`, `every` and `until`")
        }
        "%" => problem.hint("there is no remainder and no percent; write a fraction such as `0.5`"),
        "." if form == Form::PlainKey => {
            problem.hint("inner keys stand in lines of their own below the outer one, indented further")
        }
        "." => problem.hint("names have no parts; every layer and function stands for itself, without a module before it"),
        "\u{a0}" | "\u{2009}" | "\u{202f}" | "\u{3000}" => problem.hint("this blank is not the one of the space bar; replace it"),
        _ => problem.expected("letters, digits, `_` and the signs `( ) [ ] { } , : = | + - * / ^`"),
    }
}

fn brackets(report: &mut Report, tokens: &[Token]) {
    let mut open: Vec<&Token> = Vec::new();
    for token in tokens {
        match token.kind {
            Kind::Open => {
                open.push(token);
                if open.len() > MAX_NESTING {
                    report.push(
                        Diagnostic::new("E0105", token.span, "brackets are nested too deep")
                            .expected(format!("at most {MAX_NESTING} levels"))
                            .hint("give the inner part a name under `terms:` or `let:`"),
                    );
                    return;
                }
            }
            Kind::Close => match open.pop() {
                Some(start) if closes(start.text) == token.text => {}
                Some(start) => {
                    report.push(
                        Diagnostic::new("E0107", token.span, format!("`{}` closes a `{}`", token.text, start.text))
                            .related(start.span, "opened here")
                            .expected(format!("`{}`", closes(start.text)))
                            .found(format!("`{}`", token.text)),
                    );
                    return;
                }
                None => {
                    report.push(
                        Diagnostic::new("E0107", token.span, format!("`{}` closes nothing", token.text))
                            .label("no bracket is open here")
                            .hint("remove it, or open it before"),
                    );
                    return;
                }
            },
            Kind::Name | Kind::Number | Kind::BadNumber | Kind::Text | Kind::BadText => {}
            Kind::OpenText | Kind::Arrow | Kind::Sign | Kind::Stray => {}
        }
    }
    // What an unfinished string swallowed may have closed them.
    if tokens.iter().any(|token| token.kind == Kind::OpenText) {
        return;
    }
    if let (Some(start), Some(last)) = (open.pop(), tokens.last()) {
        let (at, _) = clamp(report.source(), last.span.end as usize, 0);
        report.push(
            Diagnostic::new("E0106", start.span, format!("`{}` is never closed", start.text))
                .label("opened here")
                .related(report.span(at, at), format!("`{}` is missing, at the latest here", closes(start.text)))
                .expected(format!("`{}`", closes(start.text)))
                .hint("a value goes on in the next line only if that line is indented further"),
        );
    }
}

fn closes(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// A spec is YAML too: refuses the few texts that YAML would cut in another place.
fn yaml(report: &mut Report, span: Span, form: Form, tokens: &[Token]) {
    let text = report.text(span);
    if form.is_key() && text.len() > MAX_KEY {
        report.push(
            Diagnostic::new("E0105", report.span(span.start as usize, span.start as usize), "this key is too long")
                .expected(format!("at most {MAX_KEY} bytes"))
                .found(format!("{} bytes", text.len())),
        );
        return;
    }
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return };
    let listed = first.is("[") || first.is("{");
    let mut inside: Vec<&str> = Vec::new();
    for token in tokens {
        match token.kind {
            Kind::Open => {
                if listed && inside.starts_with(&["[", "["]) {
                    report.push(
                        Diagnostic::new("E0125", token.span, "a call inside a list in a list")
                            .hint("YAML cuts it at its commas; give it a name under `let:`"),
                    );
                    return;
                }
                inside.push(token.text);
            }
            Kind::Close => {
                inside.pop();
                if inside.is_empty() && listed && token.span != last.span {
                    report.push(
                        Diagnostic::new("E0125", first.span, "a value that begins with a list must end with it")
                            .related(token.span, "YAML ends the list here")
                            .hint("begin with another operand, or put the whole value into round brackets"),
                    );
                    return;
                }
            }
            Kind::Text => {
                let whole = token.span == span || listed && inside.last().is_some_and(|open| *open != "(");
                let clash = [" #", "\t#", ": ", ":\t"].into_iter().find_map(|mark| token.text.find(mark).map(|at| (at, mark)));
                if let (false, Some((at, mark))) = (whole, clash) {
                    let code = if mark.contains('#') { ("\\x20#", "a comment") } else { (":\\x20", "a value") };
                    let start = token.span.start as usize + at;
                    report.push(
                        Diagnostic::new(
                            "E0125",
                            report.span(start, start + mark.len()),
                            format!("YAML starts {} here, string or not", code.1),
                        )
                        .hint(format!("write the blank as `{}`", code.0)),
                    );
                }
                if token.span != span && token.span.start == span.start {
                    report.push(
                        Diagnostic::new("E0125", token.span, "a value that begins with a string must end with it")
                            .hint("YAML takes the quotes for its own; begin with another operand"),
                    );
                }
            }
            Kind::Name | Kind::Number | Kind::BadNumber | Kind::BadText | Kind::OpenText => {}
            Kind::Arrow | Kind::Sign | Kind::Stray => {}
        }
    }
    if !form.is_key() && text.starts_with("- ") {
        report.push(
            Diagnostic::new("E0125", first.span, "`- ` begins a list item")
                .expected("a value behind the key, or items in lines of their own")
                .hint(format!("for a minus write no blank behind it: `-{}`", first_line(text[2..].trim_start()))),
        );
    }
}

/// Whether a free text means the same to YAML.
pub(super) fn free_text(report: &mut Report, span: Span) -> bool {
    let text = report.text(span);
    let clash = text.find(": ").map(|at| (at, 2)).or_else(|| text.ends_with(':').then(|| (text.len() - 1, 1)));
    let start = text.chars().next().filter(|c| "[]{},*&!|>%@`'?#".contains(*c)).map(|c| (0, c.len_utf8()));
    let dash = text.starts_with("- ").then_some((0, 1));
    match clash.or(start).or(dash) {
        None => true,
        Some(_) if report.from_command_line => true,
        Some((at, width)) => {
            let (from, to) = clamp(report.source(), span.start as usize + at, width);
            report.push(
                Diagnostic::new("E0125", report.span(from, to), "YAML gives this sign a meaning of its own")
                    .hint(format!("put the text into quotes: `\"{}\"`", first_line(text))),
            );
            false
        }
    }
}

pub(super) fn too_deep(report: &mut Report, place: Span) {
    report.push(
        Diagnostic::new("E0105", place, "this expression is too deep")
            .expected(format!("at most {MAX_DEPTH} operators and brackets within each other"))
            .hint("give parts of it names under `terms:` or `let:`"),
    );
}

pub(super) fn too_large(report: &mut Report, place: Span) {
    report.push(
        Diagnostic::new("E0109", place, "this number is too large")
            .expected("a number below 1.8e308")
            .found(format!("`{}`", first_line(report.text(place)))),
    );
}

/// Reports why `span` is not of the form; pest could read up to `at`.
pub(super) fn explain(report: &mut Report, span: Span, form: Form, tokens: &[Token], at: usize) {
    let stop = Stop::new(report, span, tokens, at);
    let problem = special(&stop).unwrap_or_else(|| match form {
        Form::Value | Form::Pipeline => expression(&stop, form),
        Form::PlainKey | Form::NamesKey | Form::DefKey => name_key(&stop, form),
        Form::Signature => signature(&stop),
        Form::GameKey => game_key(&stop),
        Form::Head => head(&stop),
    });
    report.push(problem);
}

/// Where pest stopped, and what stands around it.
struct Stop<'t, 'a> {
    tokens: &'t [Token<'a>],
    span: Span,
    text: &'a str,
    before: Option<&'t Token<'a>>,
    next: Option<&'t Token<'a>>,
    /// The innermost bracket that is open there.
    inside: Option<&'t Token<'a>>,
    /// The next token, or the place behind the last one.
    place: Span,
}

impl<'t, 'a> Stop<'t, 'a> {
    fn new(report: &Report<'a>, span: Span, tokens: &'t [Token<'a>], at: usize) -> Stop<'t, 'a> {
        let count = tokens.iter().take_while(|token| (token.span.start as usize) < at).count();
        let (before, next) = (count.checked_sub(1).map(|i| &tokens[i]), tokens.get(count));
        let mut open = Vec::new();
        for token in &tokens[..count] {
            if token.kind == Kind::Open {
                open.push(token);
            } else if token.kind == Kind::Close {
                open.pop();
            }
        }
        let end = tokens.last().map_or(span.end, |token| token.span.end) as usize;
        let place = next.map_or(report.span(end, end), |token| token.span);
        Stop { tokens, span, text: report.text(span), before, next, inside: open.last().copied(), place }
    }

    fn found(&self) -> String {
        self.next.map_or("the end of the value".to_string(), |token| format!("`{}`", first_line(token.text)))
    }

    fn at(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, self.place, message)
    }
}

/// Mistakes that are recognised wherever they stand.
fn special(stop: &Stop) -> Option<Diagnostic> {
    for pair in stop.tokens.windows(2) {
        if pair[0].is("*") && pair[1].is("*") && pair[0].span.end == pair[1].span.start {
            let place = pair[0].span.to(pair[1].span);
            return Some(Diagnostic::new("E0114", place, "a power is written with `^`").found("`**`").hint("write `x^2`"));
        }
        if pair[0].is("=") && pair[1].is("=") {
            let place = pair[0].span.to(pair[1].span);
            return Some(
                Diagnostic::new("E0116", place, "there are no comparisons")
                    .found("`==`")
                    .hint("an argument is named with one `=`"),
            );
        }
    }
    None
}

fn expression(stop: &Stop, form: Form) -> Diagnostic {
    let place = match form {
        Form::Pipeline => "layer",
        Form::Value | Form::PlainKey | Form::NamesKey | Form::DefKey | Form::Signature | Form::GameKey | Form::Head => "value",
    };
    let operand = "a name, a number, a call, a string, a list or a bracket";
    let Some(next) = stop.next else {
        return match stop.before {
            Some(before) if before.is("|") => stop
                .at("E0118", "the pipeline ends with `|`")
                .label("a layer is missing here")
                .expected("a layer after every `|`")
                .hint("remove the last `|`, or indent the next line further to go on there"),
            Some(before) if before.text == "as" => stop.at("E0113", "`as` without a name").expected("`as NAME`"),
            Some(before) => stop
                .at("E0113", format!("a {place} is missing after `{}`", before.text))
                .label("missing here")
                .expected(operand)
                .hint("a value goes on in the next line only if that line is indented further"),
            None => stop.at("E0112", format!("a {place} is missing")).expected(operand),
        };
    };
    let bracketed = stop.inside.is_some();
    if next.is(":") {
        let last = stop.tokens.last().is_some_and(|token| token.span == next.span);
        return match (bracketed, last) {
            (true, _) => {
                stop.at("E0116", "`:` inside brackets").expected("`NAME=VALUE`").hint("an argument is named with `=`: `stride=2`")
            }
            (false, true) => stop
                .at("E0118", "`:` at the end of a value")
                .hint("only `for`, `repeat`, `residual`, `grow`, `shrink` and keys end with a colon; remove it"),
            (false, false) => stop
                .at("E0116", "a second `:` in one line")
                .expected("one `KEY: VALUE` in a line")
                .hint("put the inner key into the next line, indented further; name an argument with `=`"),
        };
    }
    if next.is("=") {
        return match bracketed {
            true => stop.at("E0116", "`=` without a name before it").expected("`NAME=VALUE`"),
            false => stop
                .at("E0116", "`=` outside of a call")
                .expected("an operator, or the end")
                .hint("`=` names an argument: `conv(64, 4, stride=2)`; keys take `:`"),
        };
    }
    if next.is("|") && stop.before.is_none() {
        return stop
            .at("E0113", format!("a {place} cannot begin with `|`"))
            .expected(operand)
            .hint("`|` stands between the layers of a pipeline; YAML's block texts are not part of the language");
    }
    if next.is("|") && form == Form::Value {
        return stop
            .at("E0114", "a pipeline where a value is expected")
            .expected("one expression")
            .hint("pipelines stand under `nets:` and `blocks:`; elsewhere write a call: `f(g(x))`");
    }
    if next.is("|") && bracketed {
        return stop.at("E0114", "a pipeline inside brackets").hint("give it a name under `blocks:` and use that here");
    }
    if next.is("{") {
        return stop
            .at("E0114", "a mapping in braces where it cannot stand")
            .expected(operand)
            .hint("a mapping is the whole value of a key, `KEY: {A: 1, B: 2}`, with a blank after each colon");
    }
    if form == Form::Pipeline && stop.before.is_some_and(|before| before.text == "as") {
        return stop.at("E0113", "`as` without a name").expected("`as NAME`").found(stop.found());
    }
    let after_operand = stop.before.is_some_and(Token::ends_operand);
    if after_operand && next.is("[") {
        return stop
            .at("E0114", "only `E` takes square brackets here")
            .expected("an operator, or the end")
            .hint("`E[...]` is the mean; call a function or a net with round brackets");
    }
    if after_operand && next.is("->") {
        return stop.at("E0117", "`->` belongs to the signature of a net").hint("signatures are the keys under `nets:`");
    }
    if after_operand && next.text == "as" {
        return match form {
            Form::Pipeline if !bracketed => stop.at("E0113", "`as` without a name").expected("`as NAME`"),
            _ => stop
                .at("E0114", "`as` names a value of a pipeline only")
                .hint("a value of an objective gets its name under `terms:`"),
        };
    }
    let starts_operand = matches!(next.kind, Kind::Name | Kind::Number | Kind::Text) || next.is("(") || next.is("[");
    if after_operand && starts_operand {
        let between = match (bracketed, form) {
            (true, _) => "`,` or an operator",
            (false, Form::Pipeline) => "`|` between layers, or an operator",
            (false, _) => "an operator such as `*`",
        };
        let before = stop.before.map_or("", |token| token.text);
        return stop
            .at("E0114", format!("nothing between `{}` and {}", first_line(before), stop.found()))
            .label("unexpected")
            .expected(between);
    }
    if after_operand {
        return stop.at("E0114", format!("{} cannot stand here", stop.found())).expected("an operator, or the end");
    }
    match stop.before {
        Some(before) => stop
            .at("E0113", format!("a {place} is missing between `{}` and {}", before.text, stop.found()))
            .label(format!("a {place} is missing before this"))
            .expected(operand),
        None => stop.at("E0113", format!("a {place} cannot begin with {}", stop.found())).expected(operand),
    }
}

fn name_key(stop: &Stop, form: Form) -> Diagnostic {
    let expected = match form {
        Form::NamesKey => "a name, or names with commas: `x, y`",
        Form::DefKey => "a name, with parameters in round brackets if it has any: `fmaps(r)`",
        Form::Value | Form::Pipeline | Form::PlainKey | Form::Signature | Form::GameKey | Form::Head => "a name",
    };
    let problem =
        Diagnostic::new("E0121", stop.span, format!("`{}` cannot be a key here", first_line(stop.text))).expected(expected);
    match stop.next {
        Some(next) if next.is("(") && form != Form::DefKey => {
            problem.hint("only definitions under `let:`, `blocks:` and `nets:` have parameters")
        }
        Some(next) if next.is("->") => problem.hint("signatures with `->` are the keys under `nets:`"),
        Some(next) if next.is(",") => {
            problem.hint("give each name its own line; only streams, noise and terms are drawn together")
        }
        Some(next) => problem.label(format!("`{}` is not part of a name", first_line(next.text))),
        None => problem,
    }
}

fn signature(stop: &Stop) -> Diagnostic {
    let expected = "`NAME(INPUTS) -> OUTPUTS`, such as `G(z, y) -> x` or `D(x) -> 1`";
    let has = |sign: &str| stop.tokens.iter().any(|token| token.is(sign));
    let name = stop.tokens.first().filter(|token| token.kind == Kind::Name).map_or("G", |token| token.text);
    if !has("->") {
        let problem = Diagnostic::new("E0117", stop.span, "this net does not say what it returns").expected(expected);
        return match (has("="), has("(")) {
            (true, _) => problem.hint("an arrow is written `->`"),
            (false, true) => problem
                .hint(format!("write `{} -> x` for an output shaped as the stream `x`, `-> 1` for one number", stop.text.trim())),
            (false, false) => problem.hint(format!("write `{name}(z) -> x`")),
        };
    }
    let problem = stop.at("E0117", "this is not the signature of a net").expected(expected).found(stop.found());
    match (stop.before, stop.next) {
        (Some(before), _) if before.is("->") => problem.label("an output is missing").hint("`-> x`, `-> 1` or `-> w[512]`"),
        (Some(_), Some(next)) if next.is("->") && !has("(") => problem.hint(format!("write `{name}(INPUT) -> ...`")),
        (Some(before), _) if before.is(",") => problem.label("a name is missing"),
        (Some(before), _) if before.is("[") => problem.label("a size is missing").hint("write the shape: `code[20]`"),
        (_, _) => problem.label("unexpected"),
    }
}

fn game_key(stop: &Stop) -> Diagnostic {
    let expected = "`min NETS`, `max NETS`, or `min NETS max NETS`";
    let problem =
        Diagnostic::new("E0120", stop.span, format!("`{}` does not say who minimises or maximises", first_line(stop.text)))
            .expected(expected);
    match stop.tokens {
        [only] if only.kind == Kind::Name && !["min", "max"].contains(&only.text) => {
            problem.hint(format!("write `min {}`", only.text))
        }
        [word, ..] if !["min", "max"].contains(&word.text) => match word.text.to_ascii_lowercase().as_str() {
            "minimize" | "minimise" | "minimum" => problem.hint("did you mean `min`?"),
            "maximize" | "maximise" | "maximum" => problem.hint("did you mean `max`?"),
            lower => match suggest(lower, ["min", "max"]) {
                Some(word) => problem.hint(format!("did you mean `{word}`?")),
                None => problem,
            },
        },
        _ => match (stop.before, stop.next) {
            (Some(before), Some(next)) if before.kind == Kind::Name && next.kind == Kind::Name => {
                problem.hint(format!("put a comma between nets: `{}, {}`", before.text, next.text))
            }
            (_, Some(next)) if next.is("(") => {
                problem.hint("the key has the name of the net only; its inputs stand in the formula")
            }
            (_, None) => problem.hint("the name of a net is missing"),
            (_, Some(next)) => problem.label(format!("`{}` does not belong here", first_line(next.text))),
        },
    }
}

fn head(stop: &Stop) -> Diagnostic {
    let first = stop.tokens.first().map_or("", |token| token.text);
    let shape = match first {
        "for" => "`for NAME in LIST:`",
        "repeat" => "`repeat COUNT:`",
        "residual" => "`residual:`",
        "grow" => "`grow NAME in LIST:`",
        "shrink" => "`shrink NAME in LIST:`",
        _ => {
            let word = Diagnostic::new(
                "E0122",
                stop.tokens.first().map_or(stop.span, |token| token.span),
                format!("`{first}` heads no lines"),
            )
            .expected("`for`, `repeat`, `residual`, `grow` or `shrink` before a colon");
            let looped = stop.tokens.get(1).is_some_and(|token| token.kind == Kind::Name || token.kind == Kind::Number);
            return match suggest(first, HEADS) {
                Some(better) => word.hint(format!("did you mean `{better}`?")),
                None if ["while", "loop", "foreach"].contains(&first) && looped => {
                    word.hint("loops are `for NAME in LIST:` and `repeat COUNT:`")
                }
                None => Diagnostic::new("E0118", stop.span, "a layer with a colon behind it")
                    .expected("a pipeline without `:`, or `for`, `repeat`, `residual`, `grow`, `shrink`")
                    .hint("remove the colon"),
            };
        }
    };
    stop.at("E0122", format!("this `{first}` is not complete")).expected(shape).found(stop.found())
}
