//! Suggestions for misspelt words.

use crate::diag::render::suggest;

/// "did you mean `relu`?" when one of `candidates` is near `word`.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    // A word cut short (`linear` for `linear_to_zero`) is far by its letters, and yet clear.
    let longer = candidates.iter().filter(|c| word.len() >= 3 && c.starts_with(word)).min_by_key(|c| c.len());
    let near = suggest(word, candidates.iter().copied()).or_else(|| longer.map(|c| c.to_string()));
    near.map(|c| format!("did you mean `{c}`?"))
}
