//! WAV files: 8 to 32 bits of integers and floats of 32 bits; several channels are mixed to one.

use super::FileProblem;
use super::error::io_problem;
use super::resample::resample;
use hound::{SampleFormat, WavReader};
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

/// Largest file, in bytes, and most samples of a channel.
const MOST_BYTES: u64 = 1 << 28;
const MOST_SAMPLES: u64 = 1 << 26;
/// Samples per second.
const RATES: std::ops::RangeInclusive<u32> = 1000..=384_000;
const WANTED: &str = "a WAV file of PCM with 8, 16, 24 or 32 bits, or of floats with 32 bits";

/// What a header says, checked against the file's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WavHeader {
    /// Samples per second.
    pub rate: usize,
    /// Channels.
    pub channels: usize,
    /// Samples of each channel.
    pub len: usize,
}

/// Reads a header.
/// Errors: no WAV file of a kind that is read, one that is cut short, without samples, or too large.
pub fn header(path: &Path) -> Result<WavHeader, FileProblem> {
    open(path).map(|o| o.1)
}

fn open(path: &Path) -> Result<(WavReader<BufReader<File>>, WavHeader), FileProblem> {
    let file = File::open(path).map_err(|e| io_problem(path, &e, WANTED))?;
    let bytes = file.metadata().map_err(|e| io_problem(path, &e, WANTED))?.len();
    if bytes > MOST_BYTES {
        let p = FileProblem::new(path, "the file is too large").expected(format!("at most {MOST_BYTES} bytes"));
        return Err(p.found(format!("{bytes} bytes")).hint("cut it into pieces"));
    }
    let reader = WavReader::new(BufReader::new(file)).map_err(|e| broken(path, &e))?;
    let spec = reader.spec();
    let shown = format!("{} bits, {} channels, {} samples per second", spec.bits_per_sample, spec.channels, spec.sample_rate);
    let kind = match spec.sample_format {
        SampleFormat::Int => [8, 16, 24, 32].contains(&spec.bits_per_sample),
        SampleFormat::Float => spec.bits_per_sample == 32,
    };
    if !kind || spec.channels == 0 || !RATES.contains(&spec.sample_rate) {
        return Err(FileProblem::new(path, "sound of a kind that ganc does not read").expected(WANTED).found(shown));
    }
    let stored = u64::from(reader.len()) * u64::from(spec.bits_per_sample / 8);
    if stored > bytes {
        let p = FileProblem::new(path, "the file is cut short").expected(format!("{stored} bytes of sound, as its header says"));
        return Err(p.found(format!("{bytes} bytes in all")).hint("copy or record it again"));
    }
    let len = u64::from(reader.duration());
    if len == 0 {
        return Err(FileProblem::new(path, "there is no sound in this file").expected("at least one sample"));
    }
    if len > MOST_SAMPLES {
        let p = FileProblem::new(path, "the sound is too long").expected(format!("at most {MOST_SAMPLES} samples"));
        return Err(p.found(len.to_string()).hint("cut it into pieces"));
    }
    let header = WavHeader { rate: spec.sample_rate as usize, channels: usize::from(spec.channels), len: len as usize };
    Ok((reader, header))
}

fn broken(path: &Path, error: &hound::Error) -> FileProblem {
    match error {
        hound::Error::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof && e.raw_os_error().is_some() => {
            io_problem(path, e, WANTED)
        }
        other => FileProblem::new(path, "this is no whole WAV file").expected(WANTED).found(other.to_string()),
    }
}

/// Reads a file as samples at `rate` per second, about -1 to 1: channels are averaged, other rates converted.
/// Errors: as [`header`]; damage inside, and samples that are no numbers.
pub fn read(path: &Path, rate: usize) -> Result<Vec<f32>, FileProblem> {
    let (reader, header) = open(path)?;
    let spec = reader.spec();
    let samples: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let scale = 1.0 / 2f32.powi(i32::from(spec.bits_per_sample) - 1);
            reader.into_samples::<i32>().map(|s| s.map(|x| x as f32 * scale)).collect()
        }
    };
    let samples = samples.map_err(|e| broken(path, &e))?;
    // Far above full scale there is no sound, and the spectrum would overflow.
    if let Some(at) = samples.iter().position(|x| !x.is_finite() || x.abs() > 1000.0) {
        let p = FileProblem::new(path, "a sample is no sound").expected("numbers about -1 to 1");
        return Err(p.found(format!("{} at sample {at}", samples[at])));
    }
    let mono: Vec<f32> = if header.channels == 1 {
        samples
    } else {
        samples.chunks_exact(header.channels).map(|c| c.iter().sum::<f32>() / header.channels as f32).collect()
    };
    Ok(resample(&mono, header.rate, rate))
}

/// Samples as a file of 16 bits; what lies outside -1 to 1 is cut off.
/// Errors: there are more samples than the format can count.
pub fn encode(samples: &[f32], rate: usize) -> Result<Vec<u8>, String> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: u32::try_from(rate).map_err(|_| format!("{rate} samples per second are too many"))?,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).map_err(|e| e.to_string())?;
    for x in samples {
        writer.write_sample((x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16).map_err(|e| e.to_string())?;
    }
    writer.finalize().map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}
