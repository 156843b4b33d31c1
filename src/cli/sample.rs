//! `ganc sample`: draws from a trained run.

use super::pictures::Look;
use super::translate::{Job, translate};
use super::{Failure, SpecArgs, host, io, model};
use crate::build::FeedSource;
use crate::driver;
use crate::graph::{FeedId, volume};
use crate::output::arrays::write_npy;
use crate::runtime::Memory;
use crate::train::checkpoint;
use crate::train::{Loaded, RESOLVED, Sampling, load_run};
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
    /// Translate every image or WAV file of this folder instead of drawing; -o names the folder for the results
    #[arg(long, value_name = "DIR", requires = "net", conflicts_with = "n")]
    from: Option<PathBuf>,
    /// The net that translates
    #[arg(long, value_name = "NET", requires = "from")]
    net: Option<String>,
    /// A net that translates back: -o then also gets triples.png, with before, after and back
    #[arg(long, value_name = "NET", requires = "from")]
    back: Option<String>,
    /// FILE.png a grid (or a plot of points), FILE.npy raw numbers [n, ...], otherwise a folder of images
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Threads; all cores when not given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

/// Samples are drawn so many at a time: sample `i` of a seed is the same however many are asked for.
const BATCH: usize = 64;

/// Runs the command.
pub fn run(c: Sample) -> Result<(), Failure> {
    if let (Some(from), Some(net)) = (&c.from, &c.net) {
        let back = c.back.as_deref();
        return translate(&Job { run: &c.run, from, net, back, to: &c.output, seed: c.seed, threads: c.threads });
    }
    let Loaded { tensors, path } = load_run(&c.run)?;
    let model = model(&SpecArgs { spec: c.run.join(RESOLVED), set: Vec::new() })?;
    let program = driver::program(&model, Some(BATCH));
    let mut memory = Memory::new(&program);
    checkpoint::fill_states(&program, &mut memory, &tensors, &path, true)?;
    let host = host()?;
    let Some(mut sampling) = Sampling::bind(&program, &memory, &host, "sample").map_err(Failure::Bug)? else {
        return Err(Failure::Usage("this spec has nothing to sample: add `sample:` with `draw:` to it".into()));
    };
    let pool = crate::train::pool(c.threads).map_err(Failure::Limit)?;
    // What the sampler reads besides noise comes from the spec's data.
    let data: Vec<FeedId> = sampling.data_feeds(&program).collect();
    let mut sources = Vec::new();
    for (number, stream) in model.streams.iter().enumerate() {
        let feeds: Vec<(usize, FeedId)> = data
            .iter()
            .filter_map(|&f| match program.feeds[f.index()].source {
                FeedSource::Data { stream, column } if stream == number => Some((column, f)),
                FeedSource::Data { .. } | FeedSource::Normal { .. } | FeedSource::Uniform { .. } | FeedSource::Argument => None,
            })
            .collect();
        if !feeds.is_empty() {
            sources.push((crate::data::open(&stream.source, BATCH, c.seed, number as u32)?, feeds, stream));
        }
    }
    let shape = sampling.shape()[1..].to_vec();
    let (n, each) = (c.n as usize, volume(&shape));
    let mut samples = Vec::with_capacity(n * each);
    let mut draw = 0;
    while samples.len() < n * each {
        for (source, feeds, stream) in &sources {
            let sizes = stream.columns.iter().map(|(_, ty)| BATCH * ty.numbers());
            let mut columns: Vec<Vec<f32>> = sizes.map(|len| vec![0.0; len]).collect();
            let mut slices: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
            source.draw(draw, &mut slices)?;
            for &(column, feed) in feeds {
                memory.feed_mut(feed).copy_from_slice(&columns[column]);
            }
        }
        samples.extend(sampling.draw_on(&program, &mut memory, &pool, c.seed, draw));
        draw += 1;
    }
    samples.truncate(n * each);
    deliver(&c.output, &shape, &samples, Look::new(&model, &program))?;
    eprintln!("wrote {n} sample(s) of {} to {}", model.name, c.output.display());
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
