//! Suggestions for misspelt words.

use crate::diag::render::suggest;

/// "did you mean `relu`?" when one of `candidates` is near `word`.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    suggest(word, candidates).map(|c| format!("did you mean `{c}`?"))
}
