//! Checkpoints: every state in PyTorch's layout, in a safetensors file, with the progress in its metadata.
//!
//! A checkpoint is written beside its place, synced, renamed, and the folder synced; the two newest are kept. What is torn
//! is never loaded, and a failed write never reports success.

use super::layout::{from_torch, to_torch};
use super::session::{Progress, Session};
use crate::build::Program;
use crate::graph::StateId;
use crate::runtime::Memory;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a tensor file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The system refuses.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it says.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
}

/// Tensors read from a file: name, shape, elements.
pub type Tensors = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// What a file of tensors says of itself, by key.
pub type Metadata = BTreeMap<String, String>;

/// Largest tensor file that is read.
const MOST_BYTES: u64 = 16 << 30;
/// Checkpoints kept.
const KEPT: usize = 2;
const PROGRESS: &str = "ganc.progress";
const SEED: &str = "ganc.seed";

fn io(path: &Path) -> impl Fn(std::io::Error) -> TensorError {
    let path = path.to_path_buf();
    move |error| TensorError::Io { path: path.clone(), error }
}

/// Reads a safetensors file of f32 tensors, and its metadata.
/// Errors: the file cannot be read, is torn, or holds tensors of another type.
pub fn read(path: &Path) -> Result<(Tensors, HashMap<String, String>), TensorError> {
    let content = |problem: String| TensorError::Content { path: path.to_path_buf(), problem };
    let size = std::fs::metadata(path).map_err(io(path))?.len();
    if size > MOST_BYTES {
        return Err(content(format!("{size} bytes are more than the {MOST_BYTES} that are read at most")));
    }
    let bytes = std::fs::read(path).map_err(io(path))?;
    let broken = |e: safetensors::SafeTensorError| content(format!("not a whole safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let mut tensors = HashMap::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(content(format!("`{name}` holds {:?}, expected F32 (save it as float32)", view.dtype())));
        }
        let numbers = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.insert(name, (view.shape().to_vec(), numbers));
    }
    Ok((tensors, metadata))
}

/// Writes tensors atomically: beside the place, synced, renamed, folder synced. The same tensors and metadata make the same bytes.
/// Errors: the system refuses; then what stood at `path` still stands there.
pub fn write(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)], metadata: &Metadata) -> Result<(), TensorError> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, data)| data.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), b)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), b);
            view.map(|v| (name.as_str(), v)).map_err(|e| TensorError::Content { path: path.into(), problem: e.to_string() })
        })
        .collect::<Result<_, _>>()?;
    let content = |problem: String| TensorError::Content { path: path.into(), problem };
    let mut whole = safetensors::serialize(views, None).map_err(|e| content(e.to_string()))?;
    if !metadata.is_empty() {
        describe(&mut whole, metadata).ok_or_else(|| content("its header has no place for metadata".into()))?;
    }
    write_whole(path, &whole).map_err(io(path))
}

/// Puts `metadata` into the header of a safetensors file, in the order of its keys; the library would take them in a random one. A file is
/// the length of the header (8 bytes, little-endian), the header (JSON, spaces at its end), and the tensors, aligned to 8 bytes. Nothing is
/// done, and nothing returned, where it is not that.
fn describe(file: &mut Vec<u8>, metadata: &Metadata) -> Option<()> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    let tensors = file.get(8..end)?.trim_ascii().strip_prefix(b"{")?;
    let comma = if tensors == b"}" { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{}{comma}", serde_json::json!(metadata)).into_bytes();
    header.extend(tensors);
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    file.splice(..end, length.into_iter().chain(header));
    Some(())
}

/// Writes a file atomically.
/// Errors: the system refuses; then what stood at `path` still stands there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let problem = format!("there is no folder `{}` to write into", folder.display());
        return Err(std::io::Error::new(std::io::ErrorKind::NotADirectory, problem));
    }
    // The name of the temporary file would be no help in a message.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| std::io::Error::from(e.kind()))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // Temporary files are private; what is kept has the permissions of any new file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|e| e.error)?;
    File::open(folder)?.sync_all()
}

/// The states of `program` in PyTorch's layout, in the order of the table.
pub fn states(program: &Program, memory: &Memory) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let tensor = |(i, s): (usize, &crate::build::State)| {
        (s.name.clone(), s.layout.shape.clone(), to_torch(&s.stored(), memory.state(StateId(i as u32))))
    };
    program.states.iter().enumerate().map(tensor).collect()
}

/// Saves a checkpoint into `folder` and drops all but the newest two.
/// Errors: the system refuses.
pub fn save(session: &Session, folder: &Path) -> Result<PathBuf, TensorError> {
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    let path = folder.join(format!("step-{:08}.safetensors", session.progress.step));
    let progress = serde_json::to_string(&session.progress)
        .map_err(|e| TensorError::Content { path: path.clone(), problem: e.to_string() })?;
    let metadata = Metadata::from([(PROGRESS.to_string(), progress), (SEED.to_string(), session.seed.to_string())]);
    write(&path, &states(&session.program, &session.memory), &metadata)?;
    let all = list(folder)?;
    for old in all.iter().rev().skip(KEPT) {
        std::fs::remove_file(old).map_err(io(old))?;
    }
    Ok(path)
}

/// The checkpoints in `folder`, oldest first.
/// Errors: the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, TensorError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("step-") && name.ends_with(".safetensors") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The training step in the name of a checkpoint.
pub fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
}

/// What `load` makes of the newest checkpoint in `folder` that it can load, with its path.
/// Errors: there is none; the reason is that of the oldest one tried.
pub fn newest<T>(folder: &Path, mut load: impl FnMut(&Path) -> Result<T, TensorError>) -> Result<(PathBuf, T), TensorError> {
    let mut last =
        TensorError::Content { path: folder.into(), problem: "no checkpoint (step-*.safetensors) in this folder".into() };
    for path in list(folder)?.into_iter().rev() {
        match load(&path) {
            Ok(loaded) => return Ok((path, loaded)),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Sets a session to the newest whole checkpoint of `folder`, and returns its path.
/// Errors: there is none, or it belongs to another spec; the message names what differs.
pub fn resume(session: &mut Session, folder: &Path) -> Result<PathBuf, TensorError> {
    newest(folder, |path| load(session, path)).map(|x| x.0)
}

/// Sets a session to a checkpoint.
/// Errors: it is torn, or belongs to another spec; the message names what differs.
pub fn load(session: &mut Session, path: &Path) -> Result<(), TensorError> {
    let content = |problem: String| TensorError::Content { path: path.to_path_buf(), problem };
    let (tensors, metadata) = read(path)?;
    let progress: Progress = metadata
        .get(PROGRESS)
        .and_then(|p| serde_json::from_str(p).ok())
        .ok_or_else(|| content(format!("no `{PROGRESS}` in its metadata: not a checkpoint of ganc's")))?;
    if progress.updates.len() != session.program.players.len() {
        return Err(content(format!(
            "it has {} players, the spec has {}",
            progress.updates.len(),
            session.program.players.len()
        )));
    }
    fill_states(&session.program, &mut session.memory, &tensors, path, true)?;
    if let Some(seed) = metadata.get(SEED).and_then(|s| s.parse().ok()) {
        session.seed = seed;
    }
    session.progress = progress;
    Ok(())
}

/// Sets the states that `tensors` names. With `all`, every state must be there, and nothing else.
/// Errors: names or shapes differ from the spec's; the message names them. Nothing is set then.
pub fn fill_states(program: &Program, memory: &mut Memory, tensors: &Tensors, path: &Path, all: bool) -> Result<(), TensorError> {
    let mut problems = Vec::new();
    for s in &program.states {
        match tensors.get(&s.name) {
            Some((shape, _)) if *shape == s.layout.shape => {}
            Some((shape, _)) => problems.push(format!("`{}` is {shape:?}, the spec says {:?}", s.name, s.layout.shape)),
            None if all => problems.push(format!("`{}` is missing", s.name)),
            None => {}
        }
    }
    let mut strangers: Vec<&String> = tensors.keys().filter(|n| program.state(n).is_none()).collect();
    strangers.sort();
    problems.extend(strangers.iter().map(|n| format!("`{n}` is no tensor of the spec")));
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(5);
        problems.truncate(5);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        let problem = format!("the tensors are not those of the spec: {}", problems.join("; "));
        return Err(TensorError::Content { path: path.into(), problem });
    }
    for (i, s) in program.states.iter().enumerate() {
        if let Some((_, data)) = tensors.get(&s.name) {
            from_torch(&s.stored(), data, memory.state_mut(StateId(i as u32)));
        }
    }
    Ok(())
}

/// Averages in the place of what they are averages of.
pub fn averaged(mut tensors: Tensors) -> Tensors {
    let averages: Vec<String> = tensors.keys().filter(|k| k.starts_with("ema.")).cloned().collect();
    for name in averages {
        if let Some(value) = tensors.get(&name).cloned() {
            tensors.insert(name["ema.".len()..].to_string(), value);
        }
    }
    tensors
}
