//! Sound: WAV files, mel frames and back, made-up speakers, pitch.

use super::{draw, failure, opened, text};
use ganc::data::mel::Mel;
use ganc::data::pitch::median_pitch;
use ganc::data::{probe, wav};
use ganc::model::source::{SoundSettings, Speaker};
use ganc::model::{Column, DataSource};
use ganc::output::sound::{sound, write_wav};
use hound::{SampleFormat, WavSpec, WavWriter};
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const SOUND: SoundSettings = SoundSettings { rate: 8000, mels: 64, frames: 16 };

fn speech(dir: &Path, only: Option<&str>) -> DataSource {
    DataSource::Speech { dir: text(dir), only: only.map(str::to_string), sound: SOUND }
}

/// A voice-like sound: harmonics of `pitch` that fall with their number.
fn voice(pitch: f64, rate: usize, seconds: f64) -> Vec<f32> {
    let at = |t: f64| {
        (1..20)
            .filter(|k| pitch * f64::from(*k) < 0.45 * rate as f64)
            .map(|k| (TAU * pitch * f64::from(k) * t).sin() / f64::from(k))
            .sum::<f64>()
    };
    (0..(seconds * rate as f64) as usize).map(|i| (0.2 * at(i as f64 / rate as f64)) as f32).collect()
}

/// Writes a sine of 440 Hz, the same on all channels.
fn sine(path: &Path, rate: u32, channels: u16, bits: u16, sample_format: SampleFormat, seconds: f64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
    let mut w = WavWriter::create(path, spec).unwrap();
    for i in 0..(f64::from(rate) * seconds) as usize {
        let x = 0.5 * (TAU * 440.0 * i as f64 / f64::from(rate)).sin();
        for _ in 0..channels {
            match sample_format {
                SampleFormat::Float => w.write_sample(x as f32).unwrap(),
                SampleFormat::Int => w.write_sample((x * f64::from(2u32.pow(u32::from(bits) - 1) - 1)).round() as i32).unwrap(),
            }
        }
    }
    w.finalize().unwrap();
}

#[test]
fn every_kind_of_file_is_the_same_sound() {
    let dir = tempfile::tempdir().unwrap();
    let kinds = [
        (8000, 1, 16, SampleFormat::Int, 1e-4),
        (8000, 2, 8, SampleFormat::Int, 1e-2),
        (8000, 1, 24, SampleFormat::Int, 1e-5),
        (8000, 3, 32, SampleFormat::Int, 1e-5),
        (8000, 1, 32, SampleFormat::Float, 1e-6),
        (44_100, 2, 16, SampleFormat::Int, 2e-3),
        (22_050, 1, 16, SampleFormat::Int, 2e-3),
        (6000, 1, 16, SampleFormat::Int, 2e-3),
    ];
    for (rate, channels, bits, format, tolerance) in kinds {
        let path = dir.path().join("x.wav");
        sine(&path, rate, channels, bits, format, 0.5);
        let samples = wav::read(&path, 8000).unwrap();
        assert_eq!(samples.len(), 4000, "{rate} Hz");
        // The ends of converted sound know nothing of what was before and after.
        for (i, x) in samples.iter().enumerate().skip(200).take(3600) {
            let expected = 0.5 * (TAU * 440.0 * i as f64 / 8000.0).sin();
            assert!((f64::from(*x) - expected).abs() < tolerance, "{rate} Hz, {bits} bits: {x} at {i}, not {expected}");
        }
    }
}

#[test]
fn a_sample_that_is_no_number_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.wav");
    let spec = WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    for bad in [f32::NAN, f32::INFINITY, -1e30] {
        let mut w = WavWriter::create(&path, spec).unwrap();
        [0.5, bad, 0.5].into_iter().for_each(|x| w.write_sample(x).unwrap());
        w.finalize().unwrap();
        let said = wav::read(&path, 8000).unwrap_err().sentence();
        assert!(said.contains("a sample is no sound") && said.contains("at sample 1"), "{said}");
    }
}

#[test]
fn what_does_not_fit_below_half_the_rate_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.wav");
    // 6 kHz would come back as 2 kHz.
    let high: Vec<f32> = (0..22_050).map(|i| (0.5 * (TAU * 6000.0 * f64::from(i) / 44_100.0).sin()) as f32).collect();
    write_wav(&path, &high, 44_100).unwrap();
    let rest = wav::read(&path, 8000).unwrap();
    let loudest = rest[200..3800].iter().fold(0.0f32, |m, x| m.max(x.abs()));
    assert!(loudest < 1e-3, "{loudest}");
}

#[test]
fn folders_give_windows_of_frames() {
    let dir = tempfile::tempdir().unwrap();
    sine(&dir.path().join("anna/0_anna_1.wav"), 8000, 1, 16, SampleFormat::Int, 2.0);
    sine(&dir.path().join("ben/0_ben_1.wav"), 16_000, 2, 16, SampleFormat::Int, 0.1);
    let source = speech(dir.path(), None);
    let info = probe(&source).unwrap();
    assert_eq!(info.columns, [Column::Array(vec![64, 16]), Column::Class(2)]);
    assert_eq!(info.len, Some(2));
    let columns = draw(opened(&source, 2).as_ref(), 2, &[16 * 64, 1], 0).unwrap();
    for (window, class) in columns[0].chunks_exact(16 * 64).zip(&columns[1]) {
        let silent = window.chunks_exact(64).filter(|f| f.iter().all(|x| *x == -1.0)).count();
        // 0.1 s are 7 frames; the window of a frame reaches into its neighbours.
        let expected = if *class == 0.0 { 0..1 } else { 6..10 };
        assert!(expected.contains(&silent), "class {class}: {silent} silent frames");
        let loudest = window.iter().fold(-1.0f32, |m, x| m.max(*x));
        assert!((0.75..0.95).contains(&loudest), "half of full scale is -6 dB, or 0.85: {loudest}");
    }
    insta::assert_snapshot!(info.notes.join("\n"), @r"
    1 file has another rate, such as 16000 samples per second: converted to 8000
    1 file has several channels: mixed to one
    ");
    assert_eq!(probe(&speech(dir.path(), Some("*_anna_*"))).unwrap().len, Some(1));
    assert_eq!(probe(&speech(dir.path(), Some("0*1"))).unwrap().len, Some(2));
    assert_eq!(probe(&speech(dir.path(), Some("0_ben_1.wav"))).unwrap().len, Some(1));
}

#[test]
fn broken_sounds() {
    let mut all = String::new();
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wav");
        sine(&path, 8000, 1, 16, SampleFormat::Int, 0.1);
        fs::read(path).unwrap()
    };
    let mut case = |name: &str, bytes: Option<&[u8]>, file: &str, only: Option<&str>| {
        let dir = tempfile::tempdir().unwrap();
        if let Some(bytes) = bytes {
            fs::write(dir.path().join(file), bytes).unwrap();
        }
        writeln!(all, "--- {name}\n{}\n", failure(dir.path(), &speech(dir.path(), only))).unwrap();
    };
    let patched = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    case("empty folder", None, "", None);
    case("no match", Some(&whole), "0_anna_1.wav", Some("*_ben_*"));
    case("another format", Some(b"ID3"), "x.mp3", None);
    case("empty file", Some(b""), "x.wav", None);
    case("no WAV file", Some(b"RIFFxxxxAVI LIST"), "x.wav", None);
    case("cut in the header", Some(&whole[..30]), "x.wav", None);
    case("cut in the sound", Some(&whole[..whole.len() / 2]), "x.wav", None);
    case("absurd size", Some(&patched(40, &[0xfe, 0xff, 0xff, 0x7f])), "x.wav", None);
    case("no channels", Some(&patched(22, &[0, 0])), "x.wav", None);
    case("rate of 1", Some(&patched(24, &[1, 0, 0, 0, 2, 0, 0, 0])), "x.wav", None);
    case("13 bits", Some(&patched(34, &[13, 0])), "x.wav", None);
    case("no sound", Some(&[&patched(40, &[0; 4])[..44]].concat()), "x.wav", None);
    insta::assert_snapshot!(all);
}

#[test]
fn no_header_makes_it_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.wav");
    sine(&path, 8000, 1, 16, SampleFormat::Int, 0.01);
    let whole = fs::read(&path).unwrap();
    for at in 0..44 {
        for with in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = with;
            fs::write(&path, &bytes).unwrap();
            // Any answer will do.
            let _read = wav::read(&path, 8000).map(|s| assert!(s.len() < 1 << 20));
        }
        fs::write(&path, &whole[..at]).unwrap();
        assert!(wav::read(&path, 8000).is_err(), "cut at {at}");
    }
}

#[test]
fn pitch_of_a_voice() {
    for pitch in [80.0, 110.0, 147.0, 210.0, 330.0] {
        let found = median_pitch(&voice(pitch, 8000, 0.5), 8000).unwrap();
        assert!((found / pitch - 1.0).abs() < 0.01, "{found} Hz, not {pitch}");
    }
    assert_eq!(median_pitch(&[0.0; 4000], 8000), None);
    assert_eq!(median_pitch(&[], 8000), None);
    let mut state = 1u32;
    let noise: Vec<f32> = (0..8000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    assert_eq!(median_pitch(&noise, 8000), None, "noise has no pitch");
}

#[test]
fn sound_survives_its_frames() {
    for (rate, pitch) in [(8000, 110.0), (8000, 205.0), (16_000, 150.0)] {
        let mel = Mel::new(rate, 64);
        let before = voice(pitch, rate, 1.0);
        let frames = mel.frames(&before);
        assert_eq!(frames.len(), mel.frames_of(before.len()) * 64);
        let after = sound(&mel, &frames);
        assert_eq!(after.len(), mel.frames_of(before.len()) * mel.hop());
        let found = median_pitch(&after, rate).unwrap();
        assert!((found / pitch - 1.0).abs() < 0.03, "{rate}: {found} Hz, not {pitch}");
        let again = mel.frames(&after);
        // Of the frames inside and the bands that can be heard.
        let heard = frames.iter().zip(&again).skip(4 * 64).take(frames.len() - 8 * 64).filter(|(a, _)| **a > -0.25);
        let errors: Vec<f32> = heard.map(|(a, b)| (a - b).abs()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert!(errors.len() > 1000 && mean < 0.075, "{rate}: on average {} dB off", 40.0 * mean);
    }
}

#[test]
fn silence_stays_silent() {
    let mel = Mel::new(8000, 64);
    let frames = mel.frames(&[0.0; 2000]);
    assert!(frames.iter().all(|x| *x == -1.0));
    assert!(sound(&mel, &frames).iter().all(|x| *x == 0.0));
    assert!(sound(&mel, &[]).is_empty());
    // Whatever a net gives is some sound.
    assert!(sound(&mel, &[f32::NAN; 640]).len() == 1280);
}

#[test]
fn made_up_speakers_differ_in_pitch() {
    let settings = SoundSettings { frames: 64, ..SOUND };
    let source = |speaker| DataSource::Voices { speaker, sound: settings };
    let mel = Mel::new(8000, 64);
    for speaker in [Speaker::Low, Speaker::High] {
        let opened = opened(&source(speaker), 8);
        let frames = draw(opened.as_ref(), 8, &[64 * 64], 3).unwrap().remove(0);
        let most = frames.iter().fold(-1.0f32, |m, x| m.max(*x));
        assert!((0.7..1.2).contains(&most) && frames.iter().all(|x| *x >= -1.0), "{speaker:?}: {most}");
        assert_eq!(frames, draw(opened.as_ref(), 8, &[64 * 64], 3).unwrap()[0]);
        assert_ne!(frames, draw(opened.as_ref(), 8, &[64 * 64], 4).unwrap()[0]);
        let loud = frames.iter().filter(|x| **x > 0.0).count() as f32 / frames.len() as f32;
        assert!((0.1..0.8).contains(&loud), "{speaker:?}: {loud} of all bands are above -40 dB");
        let mut pitches: Vec<f64> = frames.chunks_exact(64 * 64).filter_map(|f| median_pitch(&sound(&mel, f), 8000)).collect();
        pitches.sort_by(f64::total_cmp);
        let median = pitches[pitches.len() / 2];
        assert!(pitches.len() >= 6 && (median / speaker.pitch() - 1.0).abs() < 0.1, "{speaker:?}: {pitches:?}");
    }
}
