//! The rules of `grammar/gan.pest`, and the tokens of a text.

use pest::Parser;
use pest_derive::Parser;

use super::Report;
use crate::diag::Span;

/// The parser that pest derives from the grammar.
#[derive(Parser)]
#[grammar = "../grammar/gan.pest"]
pub(super) struct Gan;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A name or a word of the language.
    Name,
    /// A number that can be read.
    Number,
    /// Starts like a number.
    BadNumber,
    /// `"text"`.
    Text,
    /// A string with an escape that means nothing.
    BadText,
    /// A string whose line ends before it does.
    OpenText,
    /// `->`
    Arrow,
    /// `(`, `[` or `{`
    Open,
    /// `)`, `]` or `}`
    Close,
    /// Any other sign of the language.
    Sign,
    /// A character that the language does not use.
    Stray,
}

/// One token with its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub span: Span,
}

impl Token<'_> {
    /// Whether an operand may end here.
    pub fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Name | Kind::Number | Kind::Text | Kind::Close => true,
            Kind::BadNumber | Kind::BadText | Kind::OpenText => true,
            Kind::Arrow | Kind::Open | Kind::Sign | Kind::Stray => false,
        }
    }

    /// Whether this is the sign or bracket `text`.
    pub fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Arrow | Kind::Open | Kind::Close | Kind::Sign)
    }
}

/// Cuts the text of a span into tokens.
pub(super) fn tokens<'a>(report: &Report<'a>, span: Span) -> Vec<Token<'a>> {
    let text = report.text(span);
    // The rule matches any text: `stray` takes what no other token does.
    let Ok(pairs) = Gan::parse(Rule::tokens, text) else { return Vec::new() };
    let base = span.start as usize;
    let mut out = Vec::new();
    for pair in pairs.flat_map(|tokens| tokens.into_inner()) {
        let kind = match pair.as_rule() {
            Rule::name => Kind::Name,
            Rule::number => Kind::Number,
            Rule::bad_number => Kind::BadNumber,
            Rule::string => Kind::Text,
            Rule::bad_string => Kind::BadText,
            Rule::open_string => Kind::OpenText,
            Rule::arrow => Kind::Arrow,
            Rule::open => Kind::Open,
            Rule::close => Kind::Close,
            Rule::sign => Kind::Sign,
            Rule::stray => Kind::Stray,
            // `EOI`; the rule `tokens` holds no other.
            _ => continue,
        };
        let at = pair.as_span();
        out.push(Token { kind, text: at.as_str(), span: report.span(base + at.start(), base + at.end()) });
    }
    out
}
