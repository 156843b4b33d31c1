//! Two made-up speakers who say random vowels: a pulse train through resonators (Klatt, 1980, section I).
//!
//! Both draw the same dice for the same seed, stream and draw: they say the same, each with their own pitch and throat.

use super::dice::{Dice, Lane};
use super::mel::Mel;
use super::{DataError, Source};
use crate::model::source::{SoundSettings, Speaker};

/// Formants of vowels in hertz (Peterson & Barney, 1952, table II, men): i, e, ae, a, o, u, and the one in "but".
const VOWELS: [[f64; 3]; 7] = [
    [270.0, 2290.0, 3010.0],
    [530.0, 1840.0, 2480.0],
    [660.0, 1720.0, 2410.0],
    [730.0, 1090.0, 2440.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
    [640.0, 1190.0, 2390.0],
];
/// Bandwidths of the formants in hertz.
const BANDS: [f64; 3] = [60.0, 90.0, 150.0];
/// Seconds of a vowel, of a pause, and of the rise and fall of a vowel's loudness.
const VOWEL: [f32; 2] = [0.12, 0.34];
const PAUSE: [f32; 2] = [0.05, 0.18];
const RAMP: f32 = 0.03;
/// Part of the segments that are pauses.
const PAUSES: f32 = 0.2;
/// Parts of a period in which the glottis opens and closes (Rosenberg, 1971, pulse C).
const OPENING: f64 = 0.40;
const CLOSING: f64 = 0.16;
/// Entries of the table of a pulse.
const PULSE: usize = 1024;
/// Height of a pulse, so that vowels stay below full scale.
const LEVEL: f64 = 0.016;
/// Samples for which the resonators stay the same.
const BLOCK: usize = 64;
/// Loudness of breath, relative to the pulses.
const BREATH: f32 = 0.01;

impl Speaker {
    /// Mean pitch in hertz.
    pub fn pitch(self) -> f64 {
        match self {
            Speaker::Low => 110.0,
            Speaker::High => 210.0,
        }
    }

    /// Factor on the formants: a shorter throat has higher ones.
    fn throat(self) -> f64 {
        match self {
            Speaker::Low => 1.0,
            Speaker::High => 1.18,
        }
    }
}

/// An endless speaker: `[frames, mels]`.
pub struct Voices {
    speaker: Speaker,
    sound: SoundSettings,
    mel: Mel,
    /// Derivative of the flow through the glottis over one period.
    pulse: Vec<f32>,
    lane: Lane,
}

/// A vowel or a pause.
struct Segment {
    /// Samples.
    len: usize,
    /// `None` for a pause.
    vowel: Option<usize>,
    loudness: f32,
    /// Pitch at its start and end, relative to the speaker's.
    pitch: [f32; 2],
}

impl Voices {
    /// The speaker at a rate.
    pub fn new(speaker: Speaker, sound: SoundSettings, lane: Lane) -> Voices {
        let flow = |p: f64| {
            if p < OPENING {
                0.5 - 0.5 * libm::cos(std::f64::consts::PI * p / OPENING)
            } else if p < OPENING + CLOSING {
                libm::cos(std::f64::consts::FRAC_PI_2 * (p - OPENING) / CLOSING)
            } else {
                0.0
            }
        };
        let at = |i: usize| i as f64 / PULSE as f64;
        let pulse = (0..PULSE).map(|i| ((flow(at(i + 1)) - flow(at(i))) * PULSE as f64 * LEVEL) as f32).collect();
        Voices { speaker, sound, mel: Mel::new(sound.rate, sound.mels), pulse, lane }
    }

    /// What is said in so many samples.
    fn say(&self, len: usize, dice: &mut Dice) -> Vec<f32> {
        let rate = self.sound.rate as f32;
        let mut noise = dice.below(1 << 31) as u32 | 1;
        let mut phase = f64::from(dice.unit());
        let mut resonators = [Resonator::default(); 3];
        let mut formants = VOWELS[dice.below(VOWELS.len())];
        let mut out: Vec<f32> = Vec::with_capacity(len);
        let mut pitch = dice.between(0.9, 1.1);
        // The first segment has begun before.
        let mut gone = dice.unit();
        while out.len() < len {
            let segment = next(dice, rate, pitch);
            pitch = segment.pitch[1];
            let skip = (gone * segment.len as f32) as usize;
            gone = 0.0;
            let ramp = RAMP * rate;
            for i in skip..segment.len {
                if out.len() >= len {
                    break;
                }
                if (i - skip).is_multiple_of(BLOCK) {
                    // The mouth moves to the vowel's shape within some 20 ms.
                    if let Some(vowel) = segment.vowel {
                        let step = (BLOCK as f64 / (0.02 * f64::from(rate))).min(1.0);
                        formants.iter_mut().zip(VOWELS[vowel]).for_each(|(f, to)| *f += (to - *f) * step);
                    }
                    for ((r, f), band) in resonators.iter_mut().zip(&formants).zip(BANDS) {
                        r.tune(f * self.speaker.throat(), band * self.speaker.throat(), self.sound.rate as f64);
                    }
                }
                let part = i as f32 / segment.len as f32;
                let bend = segment.pitch[0] + (segment.pitch[1] - segment.pitch[0]) * part;
                phase += self.speaker.pitch() * f64::from(bend) / f64::from(rate);
                phase -= phase.floor();
                let edge = (i as f32 / ramp).min((segment.len - i) as f32 / ramp).min(1.0);
                let loudness = segment.loudness * edge * edge * (3.0 - 2.0 * edge);
                // Marsaglia's xorshift, for breath.
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let breath = BREATH * (noise as f32 / u32::MAX as f32 - 0.5);
                let mut x = loudness * (self.pulse[(phase * PULSE as f64) as usize % PULSE] + breath);
                for r in &mut resonators {
                    x = r.next(x);
                }
                out.push(x);
            }
        }
        out
    }
}

/// What comes next; every segment takes the same number of dice.
fn next(dice: &mut Dice, rate: f32, pitch: f32) -> Segment {
    let is_pause = dice.unit() < PAUSES;
    let [short, long] = if is_pause { PAUSE } else { VOWEL };
    let len = (dice.between(short, long) * rate) as usize;
    let vowel = dice.below(VOWELS.len());
    let loudness = dice.between(0.5, 1.0);
    // Back towards the speaker's own pitch, and a step to somewhere.
    let to = 1.0 + 0.5 * (pitch - 1.0) + dice.between(-0.12, 0.12);
    Segment {
        len: len.max(1),
        vowel: (!is_pause).then_some(vowel),
        loudness: if is_pause { 0.0 } else { loudness },
        pitch: [pitch, to],
    }
}

/// Two poles, of gain 1 at 0 Hz.
#[derive(Clone, Copy, Default)]
struct Resonator {
    a: f32,
    b: f32,
    c: f32,
    past: [f32; 2],
}

impl Resonator {
    fn tune(&mut self, frequency: f64, band: f64, rate: f64) {
        // What lies near half the rate is not heard: a pole there would ring.
        let frequency = frequency.min(0.45 * rate);
        let radius = libm::exp(-std::f64::consts::PI * band / rate);
        let (c, b) = (-radius * radius, 2.0 * radius * libm::cos(std::f64::consts::TAU * frequency / rate));
        (self.a, self.b, self.c) = ((1.0 - b - c) as f32, b as f32, c as f32);
    }

    fn next(&mut self, x: f32) -> f32 {
        let y = self.a * x + self.b * self.past[0] + self.c * self.past[1];
        self.past = [y, self.past[0]];
        y
    }
}

impl Source for Voices {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let Some(out) = columns.first_mut() else { return Ok(()) };
        let SoundSettings { mels, frames, .. } = self.sound;
        let samples = frames * self.mel.hop() + 2 * self.mel.before();
        for (i, window) in out.chunks_exact_mut(frames * mels).enumerate() {
            let said = self.say(samples, &mut self.lane.sample(draw, i));
            self.mel.windows(&said, window);
        }
        Ok(())
    }
}
