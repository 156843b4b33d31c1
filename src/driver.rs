//! The pipeline on one page: each stage takes what the one before made.

use crate::build::{Program, build};
use crate::codegen::Host;
use crate::data;
use crate::diag::{Diagnostics, FileId, Sources};
use crate::model::{Model, resolve, resolve_stage};
use crate::syntax::{self, ast::Spec};
use crate::train::{Options, Session};
use std::path::Path;

/// A spec as read, with the texts its places refer to.
pub struct Parsed {
    /// The spec and every override.
    pub sources: Sources,
    /// The tree, overrides applied.
    pub spec: Spec,
}

/// A spec that means something, with what was found on the way.
pub struct Checked {
    /// Texts of all places.
    pub sources: Sources,
    /// The model; `None` where some finding is an error.
    pub model: Option<Model>,
    /// Errors and warnings of all stages.
    pub findings: Diagnostics,
}

/// Reads a spec file.
/// Errors: the system's, when the file cannot be read; `InvalidData` when it is no text.
pub fn read(path: &Path) -> std::io::Result<Sources> {
    let mut sources = Sources::default();
    let text = std::fs::read_to_string(path)?;
    if text.contains('\0') {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    sources.add(path.display().to_string(), text);
    Ok(sources)
}

/// Text to tree, with `--set` overrides.
pub fn parse(mut sources: Sources, overrides: &[String]) -> Result<Parsed, (Sources, Diagnostics)> {
    let mut spec = match syntax::parse(&sources, FileId(0)) {
        Ok(spec) => spec,
        Err(findings) => return Err((sources, findings)),
    };
    let mut findings = Diagnostics::default();
    for text in overrides {
        replace_length(&mut spec, text);
        if let Err(more) = syntax::apply_override(&mut spec, &mut sources, text) {
            findings.extend(more);
        }
    }
    if findings.has_errors() { Err((sources, findings)) } else { Ok(Parsed { sources, spec }) }
}

/// The settings that say how long training takes; a spec has one of them.
const LENGTHS: [&str; 3] = ["steps", "epochs", "images"];

/// A length given as an override stands for whichever the file has.
fn replace_length(spec: &mut Spec, text: &str) {
    let key = text.split('=').next().and_then(|k| k.trim().strip_prefix("train."));
    if let Some(key) = key.filter(|k| LENGTHS.contains(k)) {
        spec.train.retain(|s| s.key.text == key || !LENGTHS.contains(&s.key.text.as_str()) || s.key.span.file != FileId(0));
    }
}

/// Text to model; of a spec that grows, its last stage.
pub fn check(sources: Sources, overrides: &[String]) -> Checked {
    check_stage(sources, overrides, None)
}

/// As [`check`], for one stage of a spec that grows.
pub fn check_stage(sources: Sources, overrides: &[String], stage: Option<usize>) -> Checked {
    match parse(sources, overrides) {
        Ok(parsed) => {
            let (model, findings) = match stage {
                Some(k) => resolve_stage(&parsed.spec, &parsed.sources, &data::probe, k),
                None => resolve(&parsed.spec, &parsed.sources, &data::probe),
            };
            Checked { sources: parsed.sources, model, findings }
        }
        Err((sources, findings)) => Checked { sources, model: None, findings },
    }
}

/// Model to graphs.
pub fn program(model: &Model, batch: Option<usize>) -> Program {
    build(model, batch.unwrap_or(model.train.batch))
}

/// Graphs to a session that is ready to train.
/// Errors: the host cannot run the code.
pub fn session(program: Program, host: &Host, options: Options) -> Result<Session, String> {
    Session::new(program, host, options)
}
