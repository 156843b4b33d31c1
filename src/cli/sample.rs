//! `ganc sample`: draws from a trained run.

use super::inputs::{Ask, Inputs};
use super::pictures::Look;
use super::translate::{Job, translate};
use super::{Failure, host, io, styles, trained};
use crate::build::Program;
use crate::graph::volume;
use crate::model::Model;
use crate::output::arrays::write_npy;
use crate::runtime::{Memory, Team};
use crate::train::{Sampling, conditions};
use std::path::{Path, PathBuf};

/// Options of `ganc sample`.
#[derive(clap::Args)]
pub struct Sample {
    /// A run folder
    pub run: PathBuf,
    /// How many
    #[arg(short, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub n: u64,
    /// Of the random numbers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Every sample of this class, counted from 0 (conditional nets; the classes in turn when not given)
    #[arg(long, value_name = "K")]
    class: Option<usize>,
    /// Every sample described by this text (text to image)
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// How far styles may lie from their mean: 1 as they are, 0 all alike (nets with a mapping; the spec's when not given)
    #[arg(long, value_name = "PSI")]
    pub truncation: Option<f32>,
    /// Each row goes in eight steps from one draw of the noise to another
    #[arg(long)]
    interpolate: bool,
    /// A grid that takes coarse, middle and fine styles of the images on top for those on the left (nets with a mapping)
    #[arg(long, conflicts_with_all = ["interpolate", "n"])]
    mix: bool,
    /// Translate every image or WAV file of this folder instead of drawing; -o names the folder for the results
    #[arg(long, value_name = "DIR", requires = "net", conflicts_with = "n")]
    from: Option<PathBuf>,
    /// The net that translates
    #[arg(long, value_name = "NET", requires = "from")]
    net: Option<String>,
    /// A net that translates back: -o then also gets triples.png, with before, after and back (of sound, mel spectra)
    #[arg(long, value_name = "NET", requires = "from")]
    back: Option<String>,
    /// FILE.png a grid (or a plot of points), FILE.npy raw numbers [n, ...], otherwise a folder of images
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

/// Samples are drawn so many at a time: sample `i` of a seed is the same however many are asked for.
const BATCH: usize = 64;
/// Steps from one draw to another.
const STEPS: usize = 8;

/// A run with the memory its samplers work on.
pub struct Trained {
    pub model: Model,
    pub program: Program,
    pub memory: Memory,
    pub team: Team,
}

impl Trained {
    /// The newest checkpoint of `run`, at `batch` samples per draw.
    /// Errors: there is none, or it belongs to another spec.
    pub fn load(run: &Path, batch: usize, threads: usize) -> Result<Trained, Failure> {
        let (model, loaded) = trained(run)?;
        let (program, memory) = loaded.restore(&model, batch, false)?;
        Ok(Trained { model, program, memory, team: Team::new(threads).map_err(Failure::Limit)? })
    }

    /// Compiles the sampler called `name`; `None` where there is none.
    /// Errors: the host cannot run it.
    pub fn sampling(&self, name: &str) -> Result<Option<Sampling>, Failure> {
        Sampling::bind(&self.program, &self.memory, &host()?, name).map_err(Failure::Bug)
    }

    /// Sets a number that samplers read.
    /// Errors: the spec has no such number.
    pub fn set(&mut self, scalar: &str, value: f32) -> Result<(), Failure> {
        let Some(id) = self.program.scalar(scalar) else {
            let name = &self.model.name;
            return Err(Failure::Usage(format!(
                "{name} has no `{scalar}`: its `sample` section names no mapping net with `nets`"
            )));
        };
        self.memory.set_scalar(id, value);
        Ok(())
    }
}

/// Runs the command.
pub fn run(c: Sample) -> Result<(), Failure> {
    if let (Some(from), Some(net)) = (&c.from, &c.net) {
        let back = c.back.as_deref();
        return translate(&Job { run: &c.run, from, net, back, to: &c.output, seed: c.seed, threads: c.threads });
    }
    let mut t = Trained::load(&c.run, BATCH, c.threads)?;
    if let Some(psi) = c.truncation {
        t.set("truncation", psi)?;
    }
    if c.mix {
        return styles::mix(&c, t);
    }
    let Some(mut sampling) = t.sampling("sample")? else {
        return Err(Failure::Usage("this spec has nothing to sample: add `sample:` with `draw:` to it".into()));
    };
    let inputs = Inputs::of(&t.model, &t.program, &sampling);
    let ask = Ask { class: c.class, text: c.text.clone() };
    if let Some(text) = &ask.text
        && let Some(said) = inputs.words(&t.model, text)?
    {
        eprintln!("note: {said}");
    }
    let sources = if inputs.need_data(&ask) { conditions(&t.model, &t.program, &sampling, c.seed)? } else { Vec::new() };
    let shape = sampling.shape()[1..].to_vec();
    let (n, each) = (c.n as usize, volume(&shape));
    let mut samples = Vec::with_capacity(n * each);
    let mut draw = 0;
    while samples.len() < n * each {
        for source in &sources {
            source.give(draw, &mut t.memory)?;
        }
        inputs.apply(&t.model, &mut t.memory, &ask, draw as usize * BATCH)?;
        sampling.draw_noise(&t.program, &mut t.memory, c.seed, draw);
        if c.interpolate {
            styles::interpolate(&t.model, &t.program, &mut t.memory, STEPS);
        }
        samples.extend(sampling.run(&mut t.memory, &t.team));
        draw += 1;
    }
    samples.truncate(n * each);
    let look =
        Look::new(&t.model, &t.program).map(|l| if c.interpolate { l.in_columns(STEPS) } else { l.by_class(inputs.classes()) });
    deliver(&c.output, &shape, &samples, look)?;
    eprintln!("wrote {n} sample(s) of {} to {}", t.model.name, c.output.display());
    Ok(())
}

/// Writes samples as the name of the file says.
pub fn deliver(path: &Path, shape: &[usize], samples: &[f32], look: Option<Look>) -> Result<(), Failure> {
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
