//! Folders of WAV files as log-mel frames; folders inside them are speakers.

use super::dice::Lane;
use super::epochs::Epochs;
use super::listing::{FileKind, Listing, labelled};
use super::mel::{Mel, SILENCE};
use super::shelf::Shelf;
use super::wav::{self, WavHeader};
use super::{DataError, FileProblem, Source};
use crate::model::source::SoundSettings;
use crate::model::{Column, StreamInfo};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Sound that is read.
pub const SOUNDS: FileKind = FileKind {
    read: &["wav"],
    not_read: &["mp3", "flac", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma"],
    one: "sound",
    none: "WAV file",
    many: "WAV files",
    formats: "WAV",
    folder: "a folder of WAV files, or of one such folder for each speaker",
};

/// The sounds of a folder.
pub struct Speech {
    classes: Vec<u32>,
    sound: SoundSettings,
    epochs: Epochs,
    lane: Lane,
    /// `[frames, mels]` of each file.
    shelf: Shelf<Vec<f32>>,
}

/// What a folder holds.
/// Errors: there is no such folder, no WAV file in it, or none that `only` means; files that are no WAV files.
pub fn probe(dir: &Path, only: Option<&str>, sound: SoundSettings) -> Result<StreamInfo, DataError> {
    let listing = listed(dir, only)?;
    let headers = headers(&listing)?;
    let mut columns = vec![Column::Array(vec![sound.mels, sound.frames])];
    columns.extend((!listing.classes.is_empty()).then_some(Column::Class(listing.classes.len())));
    let notes = conversions(&headers, sound.rate);
    Ok(StreamInfo { columns, len: Some(listing.files.len() as u64), notes })
}

/// What is done to sounds with these headers so that they are one channel at `rate`, in sentences.
pub fn conversions(headers: &[WavHeader], rate: usize) -> Vec<String> {
    let count = |f: &dyn Fn(&&WavHeader) -> bool| headers.iter().filter(f).count();
    let files = |n: usize| if n == 1 { "1 file has".to_string() } else { format!("{n} files have") };
    let mut notes = Vec::new();
    if let Some(other) = headers.iter().find(|h| h.rate != rate) {
        let n = count(&|h| h.rate != rate);
        let what = "samples per second: converted to";
        notes.push(format!("{} another rate, such as {} {what} {rate}", files(n), other.rate));
    }
    let n = count(&|h| h.channels > 1);
    if n > 0 {
        notes.push(format!("{} several channels: mixed to one", files(n)));
    }
    notes
}

fn listed(dir: &Path, only: Option<&str>) -> Result<Listing, DataError> {
    let mut listing = labelled(dir, &SOUNDS)?;
    let Some(only) = only else { return Ok(listing) };
    let all = listing.files.len();
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let first = listing.files.first().map(|f| name(&f.path)).unwrap_or_default();
    listing.files.retain(|f| {
        let stem = f.path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        matches(only, &name(&f.path)) || matches(only, &stem)
    });
    if listing.files.is_empty() {
        let p = FileProblem::new(dir, format!("no WAV file in this folder is called {only:?}"));
        let p = p.expected("a name with `*` for anything").found(format!("{all} other names, such as {first}"));
        return Err(p.into());
    }
    Ok(listing)
}

/// Whether `name` is what `pattern` means, `*` standing for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|p| name.strip_prefix(p)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

fn headers(listing: &Listing) -> Result<Vec<WavHeader>, DataError> {
    let all: Vec<Result<WavHeader, FileProblem>> = listing.files.par_iter().map(|f| wav::header(&f.path)).collect();
    let (mut good, mut problems) = (Vec::with_capacity(all.len()), Vec::new());
    for one in all {
        match one {
            Ok(h) => good.push(h),
            Err(p) => problems.push(p),
        }
    }
    DataError::of(problems).map_or(Ok(good), Err)
}

impl Speech {
    /// Opens a folder.
    /// Errors: as [`probe`]; the message names the files.
    pub fn open(dir: &Path, only: Option<&str>, sound: SoundSettings, batch: usize, lane: Lane) -> Result<Speech, DataError> {
        let listing = listed(dir, only)?;
        let mel = Mel::new(sound.rate, sound.mels);
        let frames = |h: &WavHeader| h.len as u64 * sound.rate as u64 / h.rate as u64 / mel.hop() as u64 + 1;
        let bytes = headers(&listing)?.iter().map(|h| frames(h) * 4 * sound.mels as u64).sum();
        let epochs = Epochs::new(dir, listing.files.len() as u64, batch, lane)?;
        let (classes, paths): (Vec<u32>, Vec<PathBuf>) = listing.files.into_iter().map(|f| (f.class, f.path)).unzip();
        let make = move |i: usize| Ok(mel.frames(&wav::read(&paths[i], sound.rate)?));
        let shelf = Shelf::new(classes.len(), bytes, epochs.order(0), Box::new(make));
        Ok(Speech { classes, sound, epochs, lane, shelf })
    }
}

impl Source for Speech {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let indices = self.epochs.indices(draw);
        let SoundSettings { mels, frames, .. } = self.sound;
        if let Some(out) = columns.first_mut().filter(|c| !c.is_empty()) {
            let fetched = self.shelf.fetch(&indices)?;
            for (i, (window, file)) in out.chunks_exact_mut(frames * mels).zip(&fetched).enumerate() {
                let mut dice = self.lane.sample(draw, i);
                let have = file.len() / mels;
                if have >= frames {
                    let at = dice.below(have - frames + 1) * mels;
                    window.copy_from_slice(&file[at..at + frames * mels]);
                } else {
                    // Silence on both sides of a short file.
                    let at = dice.below(frames - have + 1) * mels;
                    window.fill(SILENCE);
                    window[at..at + file.len()].copy_from_slice(file);
                }
            }
        }
        if let Some(labels) = columns.get_mut(1) {
            labels.iter_mut().zip(&indices).for_each(|(x, &i)| *x = self.classes[i] as f32);
        }
        Ok(())
    }
}
