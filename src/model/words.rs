//! Captions as numbers: how a text is split into words, and which number each word of a data set has.
//!
//! Holds: number 0 is the padding behind a text, 1 a word that the data set does not have; the others follow in
//! alphabetical order, so that a vocabulary depends on the set of its words alone.

use std::collections::BTreeSet;

/// Number of the padding behind a text that is shorter than the longest.
pub const PADDING: usize = 0;
/// Number of a word that the data set does not have.
pub const UNKNOWN: usize = 1;
/// Most words of a vocabulary.
const MOST_WORDS: usize = 65_536;

/// Names of the shapes of `shapes`, in the order of their labels.
pub const SHAPES: [&str; 4] = ["circle", "square", "triangle", "star"];
/// Names of the colours of shapes and grounds, in the order of their labels.
pub const COLOURS: [&str; 6] = ["red", "green", "blue", "yellow", "purple", "white"];
/// Names of the sizes, in the order of their labels.
pub const SIZES: [&str; 3] = ["small", "medium", "large"];
/// Words of a caption of `shapes`: `a small red circle on blue`.
pub const SHAPE_CAPTION: usize = 6;

/// The words of a data set's captions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vocabulary {
    /// Sorted; the word at position `i` has number `i + 2`.
    words: Vec<String>,
}

impl Vocabulary {
    /// The words of these texts; of more than 65,536 different ones the last in the alphabet are left out.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vocabulary {
        let words: BTreeSet<String> = texts.into_iter().flat_map(words).collect();
        Vocabulary { words: words.into_iter().take(MOST_WORDS).collect() }
    }

    /// How many numbers there are, padding and the unknown word included.
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.words.len() + 2
    }

    /// The number of a word.
    pub fn number(&self, word: &str) -> usize {
        self.words.binary_search_by(|w| w.as_str().cmp(word)).map_or(UNKNOWN, |i| i + 2)
    }

    /// The word of a number; nothing for the padding and the unknown word.
    pub fn word(&self, number: usize) -> Option<&str> {
        self.words.get(number.checked_sub(2)?).map(String::as_str)
    }

    /// Writes the numbers of the words of `text` to `places`, padded, or cut where there are more words than places. Returns
    /// the words that have no number of their own.
    pub fn encode(&self, text: &str, places: &mut [f32]) -> Vec<String> {
        places.fill(PADDING as f32);
        let mut unknown = Vec::new();
        for (place, word) in places.iter_mut().zip(words(text)) {
            let number = self.number(&word);
            *place = number as f32;
            if number == UNKNOWN {
                unknown.push(word);
            }
        }
        unknown
    }

    /// The text of numbers that [`Vocabulary::encode`] gave, in small letters; `?` for unknown words.
    pub fn decode(&self, places: &[f32]) -> String {
        let words = places.iter().map(|&p| p as usize).filter(|&p| p != PADDING).map(|p| self.word(p).unwrap_or("?"));
        words.collect::<Vec<_>>().join(" ")
    }

    /// All words in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// The words of a text in small letters: letters and digits, and what joins them (an apostrophe or a hyphen inside).
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-'))
        .map(|w| w.trim_matches(['\'', '-']).to_lowercase())
        .filter(|w| !w.is_empty())
}

/// The words of the captions of `shapes`.
pub fn shape_words() -> Vocabulary {
    Vocabulary::of(["a", "on"].into_iter().chain(SHAPES).chain(COLOURS).chain(SIZES))
}
