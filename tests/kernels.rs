//! Elementary functions and random numbers: compiled code against f64, Philox against its published vectors.

mod common;

use common::program;
use ganc::codegen::Host;
use ganc::graph::{Binary, Builder, FeedId, Sink, Source, Unary};
use ganc::runtime::random::{Stream, pairs, philox, unit};
use ganc::runtime::{Executable, Memory, Team};
use ganc::schedule;

/// Elements of one run of a compiled function.
const BLOCK: usize = 1 << 18;

/// A function of one element, compiled.
struct Compiled {
    executable: Executable,
    memory: Memory,
    team: Team,
}

impl Compiled {
    fn new(f: Unary, host: &Host) -> Compiled {
        let mut b = Builder::new();
        let x = b.input(Source::Feed(FeedId(0)), &[BLOCK]);
        // The sum with -0 keeps every bit, and the function a kernel of its own.
        let y = b.unary(f, x);
        let zero = b.constant(-0.0, &[BLOCK]);
        let y = b.binary(Binary::Add, y, zero);
        b.output("y", y, Sink::Result);
        let graph = b.finish();
        let memory = Memory::new(&program(&graph));
        let executable = Executable::new(schedule::plan(&graph, host.target()), host, &memory).expect("it compiles");
        let team = Team::new(2).expect("threads start");
        Compiled { executable, memory, team }
    }

    /// The function of each of `x`.
    fn run(&mut self, x: &[f32]) -> Vec<f32> {
        let mut all = Vec::with_capacity(x.len());
        for part in x.chunks(BLOCK) {
            let feed = self.memory.feed_mut(FeedId(0));
            feed[..part.len()].copy_from_slice(part);
            feed[part.len()..].fill(1.0);
            self.executable.run(&self.team, &mut self.memory);
            all.extend_from_slice(&self.executable.result("y").expect("the result")[..part.len()]);
        }
        all
    }
}

/// A function, its definition in f64, and the largest error, in units in the last place, on native hosts (which multiply and
/// add in one rounding) and on baseline ones.
type Row = (&'static str, Unary, fn(f64) -> f64, f64, f64);

const FUNCTIONS: [Row; 7] = [
    ("exp", Unary::Exp, f64::exp, 1.0, 1.0),
    ("log", Unary::Log, f64::ln, 0.9, 0.9),
    ("sqrt", Unary::Sqrt, f64::sqrt, 0.5, 0.5),
    ("tanh", Unary::Tanh, f64::tanh, 1.4, 1.4),
    ("sigmoid", Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 2.6, 2.6),
    ("softplus", Unary::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), 2.1, 2.1),
    ("erf", Unary::Erf, libm::erf, 1.25, 1.45),
];

/// The distance of f32 numbers near `x`.
fn ulp(x: f64) -> f64 {
    let exponent = x.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (exponent - 23.0).exp2()
}

/// Numbers of every magnitude and sign, and ranges where functions change quickly.
fn sweep() -> Vec<f32> {
    // A prime step walks over all exponents and mantissas, infinities and NaNs included.
    let mut x: Vec<f32> = (0..u32::MAX).step_by(4093).map(f32::from_bits).collect();
    for (low, high) in [(-4.5f32, 4.5f32), (-20.0, 20.0), (-90.0, 90.0), (0.5, 2.0), (0.95, 1.05)] {
        let n = 400_000;
        x.extend((0..n).map(|i| low + (high - low) * i as f32 / n as f32));
    }
    x.extend([0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, f32::MIN_POSITIVE]);
    x.extend([88.72, 88.722_84, 88.73, -87.33, -87.4, -103.0, -104.0, 1e-40, -1e-40]);
    x
}

/// How far `found` is from `expected`, in units in the last place. Kernels flush subnormal numbers to zero, in between as well:
/// differences below 2^-125, twice the smallest normal number, do not count.
fn error(found: f32, expected: f64) -> f64 {
    let nearest = expected as f32;
    if expected.is_nan() || nearest.is_infinite() {
        let same = if expected.is_nan() { found.is_nan() } else { found == nearest };
        return if same { 0.0 } else { f64::INFINITY };
    }
    let difference = (f64::from(found) - expected).abs();
    if !found.is_finite() {
        f64::INFINITY
    } else if difference < (-125f64).exp2() {
        0.0
    } else {
        difference / ulp(expected)
    }
}

fn accuracy(host: &Host, bound: fn(&Row) -> f64) {
    let x = sweep();
    let mut wrong = Vec::new();
    for row in &FUNCTIONS {
        let (name, f, truth, ..) = row;
        let y = Compiled::new(*f, host).run(&x);
        let (mut worst, mut at) = (0.0, 0.0);
        for (&x, &y) in x.iter().zip(&y) {
            // Subnormal numbers are 0 in kernels.
            let flushed = if x.is_subnormal() { 0.0f32.copysign(x) } else { x };
            let e = error(y, truth(f64::from(flushed)));
            if e > worst {
                (worst, at) = (e, x);
            }
        }
        println!("{} {name}: {worst:.3} ulp at {at:e}", host.name);
        if worst > bound(row) {
            wrong.push(format!("{name}: {worst:.3} ulp at {at:e}, at most {}", bound(row)));
        }
    }
    assert!(wrong.is_empty(), "{}: {}", host.name, wrong.join("; "));
}

#[test]
fn functions_are_accurate_on_this_machine() {
    accuracy(&Host::native().expect("this machine is supported"), |r| r.3);
}

#[test]
fn functions_are_accurate_on_the_least_machine() {
    accuracy(&Host::baseline().expect("this machine is supported"), |r| r.4);
}

#[test]
fn philox_gives_the_published_words() {
    // `kat_vectors` of the Random123 distribution, philox4x32 with 10 rounds.
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let pi = philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}

const DRAWS: usize = 1 << 20;

/// The mean of `x^k`.
fn moment(x: &[f32], k: i32) -> f64 {
    x.iter().map(|&v| f64::from(v).powi(k)).sum::<f64>() / x.len() as f64
}

/// Whether a sample mean of `DRAWS` numbers with standard deviation `std` is within four standard errors of `expected`.
fn near(found: f64, expected: f64, std: f64) {
    let error = std / (DRAWS as f64).sqrt();
    assert!((found - expected).abs() < 4.0 * error, "{found}, expected {expected} with a standard error of {error:.1e}");
}

#[test]
fn normal_numbers_are_those_of_the_mathematical_library() {
    // Every word that differs in the bits that count, as the radius and as the angle.
    const STEP: usize = 16;
    for first in (0..1u32 << 24).step_by(STEP) {
        let u: [u32; STEP] = std::array::from_fn(|i| ((first + i as u32) << 8) | 0x5a);
        let v = u.map(|w| !w);
        let found = pairs(u, v);
        for i in 0..STEP {
            let radius = libm::sqrtf(-2.0 * libm::logf(((u[i] >> 8) as f32 + 1.0) / 16_777_216.0));
            let angle = std::f32::consts::TAU * unit(v[i]);
            let expected = [radius * libm::cosf(angle), radius * libm::sinf(angle)];
            assert_eq!([found.0[i], found.1[i]].map(f32::to_bits), expected.map(f32::to_bits), "{:#x} {:#x}", u[i], v[i]);
        }
    }
}

#[test]
fn normal_numbers_have_the_moments_of_the_normal_distribution() {
    let mut x = vec![0.0; DRAWS];
    Stream { seed: 5, step: 9, stream: 3 }.normal(&mut x, 0.0, 1.0);
    // The k-th moment's variance is the 2k-th moment less the k-th squared: moments are 1, 3, 15, 105, 945, ...
    near(moment(&x, 1), 0.0, 1.0);
    near(moment(&x, 2), 1.0, 2f64.sqrt());
    near(moment(&x, 3), 0.0, 15f64.sqrt());
    near(moment(&x, 4), 3.0, 96f64.sqrt());
    near(moment(&x, 6), 15.0, (10395f64 - 225.0).sqrt());
    let beyond = |bound: f32| x.iter().filter(|v| v.abs() > bound).count() as f64 / DRAWS as f64;
    for (bound, tail) in [(1.0, 0.317_310_508), (2.0, 0.045_500_264), (3.0, 0.002_699_796)] {
        near(beyond(bound), tail, f64::sqrt(tail * (1.0 - tail)));
    }
    let mut y = vec![0.0; DRAWS];
    Stream { seed: 5, step: 9, stream: 3 }.normal(&mut y, 2.0, 0.5);
    assert!(x.iter().zip(&y).all(|(a, b)| (a * 0.5 + 2.0 - b).abs() < 1e-5));
}

#[test]
fn uniform_numbers_fill_their_range_evenly() {
    let mut x = vec![0.0; DRAWS];
    Stream { seed: 6, step: 1, stream: 2 }.uniform(&mut x, -1.0, 3.0);
    assert!(x.iter().all(|v| (-1.0..3.0).contains(v)));
    near(moment(&x, 1), 1.0, (16.0 / 12f64).sqrt());
    // Chi-square over 256 bins: mean 255, standard deviation sqrt(510).
    let mut bins = [0f64; 256];
    x.iter().for_each(|v| bins[((v + 1.0) * 64.0) as usize] += 1.0);
    let each = DRAWS as f64 / 256.0;
    let chi: f64 = bins.iter().map(|n| (n - each).powi(2) / each).sum();
    assert!((chi - 255.0).abs() < 4.0 * 510f64.sqrt(), "chi-square {chi}");
}

#[test]
fn streams_steps_seeds_and_neighbours_are_independent() {
    let draw = |stream: Stream| {
        let mut x = vec![0.0; DRAWS];
        stream.normal(&mut x, 0.0, 1.0);
        x
    };
    let first = Stream { seed: 7, step: 0, stream: 0 };
    let x = draw(first);
    let together = |a: &[f32], b: &[f32]| {
        let n = a.len().min(b.len());
        a.iter().zip(b).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>() / n as f64
    };
    for other in [Stream { seed: 8, ..first }, Stream { step: 1, ..first }, Stream { stream: 1, ..first }] {
        near(together(&x, &draw(other)), 0.0, 1.0);
    }
    for lag in 1..6 {
        near(together(&x, &x[lag..]), 0.0, 1.0);
    }
    // The same place always gives the same numbers, whatever else was drawn.
    assert!(x.iter().zip(draw(first)).all(|(a, b)| a.to_bits() == b.to_bits()));
}
