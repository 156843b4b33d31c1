//! `ganc sample`: draws from a trained run.

use super::pictures::Look;
use super::{Failure, SpecArgs, host, io, model};
use crate::graph::volume;
use crate::output::arrays::write_npy;
use crate::train::{Drawing, RESOLVED, load_run};
use std::path::{Path, PathBuf};

/// Options of `ganc sample`.
#[derive(clap::Args)]
pub struct Sample {
    /// A run folder
    run: PathBuf,
    /// How many
    #[arg(short, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    n: u64,
    /// Of the random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// FILE.png a grid (or a plot of points), FILE.npy raw numbers [n, ...], otherwise a folder of images
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Runs the command.
pub fn run(c: Sample) -> Result<(), Failure> {
    let loaded = load_run(&c.run)?;
    let model = model(&SpecArgs { spec: c.run.join(RESOLVED), set: Vec::new() })?;
    let mut drawing = Drawing::open(&model, &loaded, &host()?, c.seed)?;
    let pool = crate::train::pool(c.threads).map_err(Failure::Limit)?;
    let shape = drawing.shape().to_vec();
    let (samples, _) = drawing.draw(c.n as usize, &pool)?;
    deliver(&c.output, &shape, &samples, Look::new(&model, &drawing.program))?;
    eprintln!("wrote {} sample(s) of {} to {}", c.n, model.name, c.output.display());
    Ok(())
}

fn deliver(path: &Path, shape: &[usize], samples: &[f32], look: Option<Look>) -> Result<(), Failure> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    if extension.as_deref() == Some("npy") {
        let n = samples.len() / volume(shape);
        return Ok(write_npy(path, &[vec![n], shape.to_vec()].concat(), samples)?);
    }
    let Some(look) = look else {
        return Err(Failure::Usage(format!("samples of shape {shape:?} are no pictures: write them with -o FILE.npy")));
    };
    match extension.as_deref() {
        Some("png") => look.write(path, samples, &[]),
        Some(other) => Err(Failure::Usage(format!("cannot write .{other}: expected FILE.png, FILE.npy, or a folder"))),
        None if look.is_points() => {
            Err(Failure::Usage("points are no images: write them with -o FILE.png or -o FILE.npy".into()))
        }
        None => look.write_each(path, samples),
    }
}
