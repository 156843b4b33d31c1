//! Numbers that follow from the progress of training.

use crate::build::{Decay, ScalarRule, Schedule};

/// The value of a scalar at training step `step` (from 0), with `updates` of each player done before.
pub fn value(rule: &ScalarRule, step: u64, updates: &[u64]) -> f32 {
    match rule {
        ScalarRule::LearningRate { base, schedule, .. } => (base * factor(schedule, step)) as f32,
        ScalarRule::BiasCorrection { player, beta, since } => {
            let t = updates[*player].saturating_sub(*since) + 1;
            (1.0 - libm::pow(*beta, t as f64)) as f32
        }
        ScalarRule::Fade { from, steps } => match step.checked_sub(*from) {
            Some(done) if done < *steps => (done as f64 / *steps as f64) as f32,
            Some(_) => 1.0,
            None => 0.0,
        },
        ScalarRule::Given(x) => *x as f32,
        ScalarRule::AverageDecay { decay } => decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32,
    }
}

/// The schedule's factor on the learning rate at `step`.
pub fn factor(s: &Schedule, step: u64) -> f64 {
    let rise = if step < s.warmup { (step + 1) as f64 / s.warmup as f64 } else { 1.0 };
    let decay = match s.decay {
        Decay::Constant => 1.0,
        Decay::Linear { from, to } => match step {
            _ if step <= from => 1.0,
            _ if step >= to => 0.0,
            _ => (to - step) as f64 / (to - from) as f64,
        },
        Decay::Cosine { to } => {
            let (start, length) = (s.warmup, to.saturating_sub(s.warmup).max(1));
            let part = (step.saturating_sub(start) as f64 / length as f64).min(1.0);
            0.5 * (1.0 + libm::cos(std::f64::consts::PI * part))
        }
        Decay::Step { every, gamma } => libm::pow(gamma, (step / every.max(1)) as f64),
    };
    rise * decay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
        let at = |warmup, decay, step| factor(&Schedule { warmup, decay }, step);
        assert_eq!(at(0, Decay::Constant, 7), 1.0);
        assert_eq!(at(4, Decay::Constant, 0), 0.25);
        assert_eq!(at(4, Decay::Constant, 4), 1.0);
        assert_eq!(at(0, Decay::Linear { from: 10, to: 20 }, 10), 1.0);
        assert_eq!(at(0, Decay::Linear { from: 10, to: 20 }, 15), 0.5);
        assert_eq!(at(0, Decay::Linear { from: 10, to: 20 }, 25), 0.0);
        assert!((at(0, Decay::Cosine { to: 8 }, 4) - 0.5).abs() < 1e-12);
        assert_eq!(at(0, Decay::Step { every: 3, gamma: 0.5 }, 6), 0.25);
    }
}
