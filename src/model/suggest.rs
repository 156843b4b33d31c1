//! Suggestions for misspelt words.

/// "did you mean `relu`?" when one of `candidates` is near `word`.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, candidates).map(|c| format!("did you mean `{c}`?"))
}

/// The candidate nearest to `word`, if it is near: at most a third of its letters differ (at least one may).
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(d, c)| *d <= limit && c.chars().count() > *d)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}
