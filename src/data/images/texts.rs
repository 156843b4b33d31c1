//! Captions of images: lines of the text file of the same name beside each.
//!
//! Holds: every image has at least one caption; every caption has at most [`MOST_PLACES`] words.

use super::super::dice::Dice;
use super::super::error::io_problem;
use super::super::listing::Listing;
use super::super::{DataError, FileProblem};
use crate::model::Vocabulary;
use crate::model::words::words;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Most words of a caption.
pub const MOST_PLACES: usize = 64;
/// Largest file of captions, in bytes, and most of all files together.
const MOST_BYTES: u64 = 64 << 10;
const MOST_TOTAL: u64 = 256 << 20;
const WANTED: &str = "a text file in UTF-8 with a caption in each line";

/// The captions of a folder.
pub struct Texts {
    /// Of each image.
    texts: Vec<Vec<String>>,
    vocabulary: Vocabulary,
    places: usize,
    /// Captions with too many words.
    cut: usize,
}

impl Texts {
    /// Reads the captions of all images.
    /// Errors: an image has none (the message names the first and counts them), or a file is no text or too large.
    pub fn read(dir: &Path, listing: &Listing) -> Result<Texts, DataError> {
        let mut texts = Vec::with_capacity(listing.files.len());
        let mut missing = Vec::new();
        let mut problems = Vec::new();
        let mut total = 0;
        for file in &listing.files {
            let path = file.path.with_extension("txt");
            match lines(&path) {
                Ok(found) => {
                    total += found.iter().map(|t| t.len() as u64).sum::<u64>();
                    texts.push(found);
                }
                Err(Unread::Missing) => missing.push(&file.path),
                Err(Unread::Broken(problem)) => problems.push(problem),
            }
            if total > MOST_TOTAL {
                let p = FileProblem::new(dir, "too much text in the captions of this folder");
                return Err(p.expected(format!("at most {MOST_TOTAL} bytes")).into());
            }
        }
        if let Some(first) = missing.first() {
            let problem = match missing.len() {
                1 => "this image has no caption".to_string(),
                n => format!("this image has no caption, and {} more have none", n - 1),
            };
            let name = first.with_extension("txt");
            let p = FileProblem::new(first, problem).expected(format!("its caption in {}", name.display()));
            return Err(p.hint("write it, take the image out of the folder, or leave `caption=true` out").into());
        }
        if let Some(error) = DataError::of(problems) {
            return Err(error);
        }
        let (mut places, mut cut) = (1, 0);
        for text in texts.iter().flatten() {
            let n = words(text).count();
            places = places.max(n.min(MOST_PLACES));
            cut += usize::from(n > MOST_PLACES);
        }
        let vocabulary = Vocabulary::of(texts.iter().flatten().map(String::as_str));
        Ok(Texts { texts, vocabulary, places, cut })
    }

    /// Words of the longest caption.
    #[allow(clippy::len_without_is_empty, reason = "it is at least 1")]
    pub fn len(&self) -> usize {
        self.places
    }

    /// All words.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What was cut off.
    pub fn note(&self) -> Option<String> {
        let what = if self.cut == 1 { "a caption has".to_string() } else { format!("{} captions have", self.cut) };
        (self.cut > 0).then(|| format!("{what} more than {MOST_PLACES} words: the rest is left out"))
    }

    /// Writes one of the captions of an image.
    pub fn write(&self, image: usize, dice: &mut Dice, places: &mut [f32]) {
        let texts = &self.texts[image];
        // All words are in the vocabulary, except where it is full.
        let _unknown = self.vocabulary.encode(&texts[dice.below(texts.len())], places);
    }
}

enum Unread {
    Missing,
    Broken(FileProblem),
}

/// The captions in a file: its lines that have a word.
fn lines(path: &Path) -> Result<Vec<String>, Unread> {
    let io = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Unread::Missing,
        _other => Unread::Broken(io_problem(path, &e, WANTED)),
    };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    let broken = |what: &str| FileProblem::new(path, what).expected(WANTED);
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Unread::Broken(broken("the file of captions is too large").found(format!("more than {MOST_BYTES} bytes"))));
    }
    let text = String::from_utf8(bytes).map_err(|_| Unread::Broken(broken("the captions are no text")))?;
    let lines: Vec<String> = text.lines().filter(|l| words(l).next().is_some()).map(str::to_string).collect();
    if lines.is_empty() { Err(Unread::Broken(broken("there is no word in this caption"))) } else { Ok(lines) }
}
