//! Files of one kind in a folder; folders inside it are classes.

use super::error::io_problem;
use super::{DataError, FileProblem};
use std::path::{Path, PathBuf};

/// Folders inside folders.
const MOST_DEPTH: usize = 16;

/// Which files are meant, with words for messages.
pub struct FileKind {
    /// Endings in small letters.
    pub read: &'static [&'static str],
    /// Endings of files that were meant to be read, but are of a kind that is not.
    pub not_read: &'static [&'static str],
    /// `an image`
    pub one: &'static str,
    /// `image`, behind `no`.
    pub none: &'static str,
    /// `images`
    pub many: &'static str,
    /// `PNG or JPEG`
    pub formats: &'static str,
    /// What the folder should be.
    pub folder: &'static str,
}

/// Files of a folder in the order of their names.
pub struct Listing {
    /// The files.
    pub files: Vec<Listed>,
    /// Names of the folders inside; none where the files lie in the folder itself.
    pub classes: Vec<String>,
    /// Folders inside without a file of this kind: no classes.
    pub empty: Vec<PathBuf>,
}

/// A file of a listing.
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Position of its folder among the classes.
    pub class: u32,
}

/// What lies in one folder.
#[derive(Default)]
struct Entries {
    wanted: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Files of kinds that are not read.
    foreign: Vec<PathBuf>,
    other: Vec<PathBuf>,
}

/// The files of `kind` in a folder, or in the folders inside it.
/// Errors: there is no such folder, no such file in it, files of kinds that are not read, or files both in it and in folders.
pub fn list(dir: &Path, kind: &FileKind) -> Result<Listing, DataError> {
    let top = entries(dir, true, kind)?;
    let mut foreign = top.foreign;
    let mut other = top.other;
    let mut classes = Vec::new();
    let mut nested = Vec::new();
    let mut empty = Vec::new();
    for folder in top.folders {
        let mut inside = Vec::new();
        walk(&folder, 1, kind, &mut inside, &mut foreign, &mut other)?;
        if !inside.is_empty() {
            let class = classes.len() as u32;
            classes.push(folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
            nested.extend(inside.into_iter().map(|path| Listed { path, class }));
        } else {
            empty.push(folder);
        }
    }
    let problems: Vec<FileProblem> = foreign
        .iter()
        .map(|p| FileProblem::new(p, format!("{} of a kind that ganc does not read", kind.one)).expected(kind.formats))
        .map(|p| p.hint("convert it, or take it out of the folder"))
        .collect();
    if let Some(error) = DataError::of(problems) {
        return Err(error);
    }
    match (top.wanted.first(), nested.first()) {
        (Some(beside), Some(inside)) => {
            let p = FileProblem::new(dir, format!("{} both in this folder and in folders inside it", kind.many))
                .expected(kind.folder);
            Err(p.found(format!("{} and {}", beside.display(), inside.path.display())).into())
        }
        (None, None) => {
            let p = FileProblem::new(dir, format!("no {} in this folder", kind.none)).expected(kind.folder);
            let found = match other.first() {
                Some(one) => {
                    let count = other.len();
                    let name = one.strip_prefix(dir).unwrap_or(one).display();
                    if count == 1 { format!("one other file, {name}") } else { format!("{count} other files, like {name}") }
                }
                None => "no file at all".to_string(),
            };
            Err(p.found(found).into())
        }
        (Some(_), None) => Ok(Listing {
            files: top.wanted.into_iter().map(|path| Listed { path, class: 0 }).collect(),
            classes: Vec::new(),
            empty,
        }),
        (None, Some(_)) => Ok(Listing { files: nested, classes, empty }),
    }
}

/// As [`list`], for a folder whose labels are meant.
/// Errors: also where a folder beside those of other classes has no file: passed over in silence, it would leave the labels behind
/// it one too low.
pub fn labelled(dir: &Path, kind: &FileKind) -> Result<Listing, DataError> {
    let listing = list(dir, kind)?;
    let none = |p: &PathBuf| FileProblem::new(p, format!("no {} in this class's folder", kind.none)).expected(kind.folder);
    let problems = listing.empty.iter().filter(|_| !listing.classes.is_empty());
    let problems = problems.map(|p| none(p).hint("fill it, or take it away")).collect();
    DataError::of(problems).map_or(Ok(listing), Err)
}

/// Collects the files below a class's folder.
fn walk(
    dir: &Path,
    depth: usize,
    kind: &FileKind,
    wanted: &mut Vec<PathBuf>,
    foreign: &mut Vec<PathBuf>,
    other: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    if depth > MOST_DEPTH {
        let p = FileProblem::new(dir, "folders lie too deep inside each other");
        return Err(p.expected(format!("at most {MOST_DEPTH}")).into());
    }
    let inside = entries(dir, false, kind)?;
    wanted.extend(inside.wanted);
    foreign.extend(inside.foreign);
    other.extend(inside.other);
    for folder in inside.folders {
        walk(&folder, depth + 1, kind, wanted, foreign, other)?;
    }
    Ok(())
}

/// What lies in a folder, sorted by name; hidden files are passed over. A link to a folder is followed where a class may be
/// one, and nowhere deeper, so that no circle of links is walked.
fn entries(dir: &Path, follow: bool, kind: &FileKind) -> Result<Entries, DataError> {
    let mut found = Entries::default();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| io_problem(dir, &e, kind.folder))? {
        let entry = entry.map_err(|e| io_problem(dir, &e, kind.folder))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            let ty = entry.file_type().map_err(|e| io_problem(&entry.path(), &e, kind.folder))?;
            paths.push((entry.path(), ty));
        }
    }
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, ty) in paths {
        let is_dir = ty.is_dir() || (ty.is_symlink() && path.is_dir());
        if is_dir {
            if follow || !ty.is_symlink() {
                found.folders.push(path);
            }
            continue;
        }
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if kind.read.contains(&ending.as_str()) {
            found.wanted.push(path);
        } else if kind.not_read.contains(&ending.as_str()) {
            found.foreign.push(path);
        } else {
            found.other.push(path);
        }
    }
    Ok(found)
}
