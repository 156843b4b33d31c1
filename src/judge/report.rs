//! What is found about a run: as a table for readers, as JSON for programs. Neither holds a time, so that the same run, flags
//! and seed give the same text.

use serde_json::{Value, json};
use std::fmt::Write;

/// How a number is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// As it is.
    Plain,
    /// A share, as a percentage.
    Share,
    /// A count of so many.
    Of(usize),
}

/// Which numbers are good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// Small ones.
    Lower,
    /// Large ones.
    Higher,
    /// Those near the floor's, on either side.
    NearFloor,
}

/// A number that was measured three times: the floor on real samples against others, then on the run's, then the ceiling on
/// noise. `None` where it has no meaning.
#[derive(Clone, PartialEq, Debug)]
pub struct Measure {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name for readers.
    pub title: String,
    /// How it is shown.
    pub unit: Unit,
    /// Which side is good.
    pub better: Better,
    /// Of floor, model and ceiling.
    pub values: [Option<f64>; 3],
    /// Their standard deviations, where they are known.
    pub stds: Option<[f64; 3]>,
}

impl Measure {
    /// A measure with all three numbers.
    pub fn new(key: &'static str, title: impl Into<String>, better: Better, values: [f64; 3]) -> Measure {
        Measure { key, title: title.into(), unit: Unit::Plain, better, values: values.map(Some), stds: None }
    }

    /// Shown otherwise.
    pub fn shown(self, unit: Unit) -> Measure {
        Measure { unit, ..self }
    }
}

/// The classifier that images were measured with.
#[derive(Clone, PartialEq, Debug)]
pub struct JudgeInfo {
    /// What it learned from, as a spec says it.
    pub learned: String,
    /// How many classes it tells apart.
    pub classes: usize,
    /// Share of held-out real images that it gets right.
    pub accuracy: f64,
    /// SHA-256 of its weights and its spec.
    pub sha256: String,
    /// Its file.
    pub path: String,
}

/// Class accuracy of a conditional model.
#[derive(Clone, PartialEq, Debug)]
pub struct ClassLine {
    /// The class.
    pub class: usize,
    /// How many samples of it were asked for.
    pub asked: usize,
    /// Floor, model, ceiling.
    pub values: [Option<f64>; 3],
}

/// All that is found about a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The spec's name.
    pub name: String,
    /// The checkpoint's file name.
    pub checkpoint: String,
    /// The data compared with, as a spec says them.
    pub data: String,
    /// Samples in each set.
    pub samples: usize,
    /// Of all random numbers.
    pub seed: u64,
    /// The numbers.
    pub measures: Vec<Measure>,
    /// The classifier, for images.
    pub judge: Option<JudgeInfo>,
    /// The classifiers that told what is seen in an image, where there are more.
    pub judges: Vec<JudgeInfo>,
    /// For conditional models.
    pub classes: Vec<ClassLine>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Before a measure stands which numbers are good: ↓ small ones, ↑ large ones, ≈ those like the floor's.
const HEAD: [&str; 4] = ["measure (good: ↓ low, ↑ high, ≈ as real)", "floor (real)", "model", "ceiling (noise)"];

impl Report {
    /// Adds classifiers that are not named yet.
    pub fn seen_by(&mut self, judges: impl IntoIterator<Item = JudgeInfo>) {
        for judge in judges {
            if !self.judge.iter().chain(&self.judges).any(|j| *j == judge) {
                self.judges.push(judge);
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let three = |v: &[Option<f64>; 3]| json!({ "floor": v[0], "model": v[1], "ceiling": v[2] });
        let measures: Vec<Value> = self
            .measures
            .iter()
            .map(|m| {
                let better = match m.better {
                    Better::Lower => "lower",
                    Better::Higher => "higher",
                    Better::NearFloor => "near floor",
                };
                let mut line = json!({ "key": m.key, "title": m.title, "better": better });
                for (i, name) in ["floor", "model", "ceiling"].iter().enumerate() {
                    line[*name] = json!(m.values[i]);
                }
                if let Some(stds) = m.stds {
                    line["std"] = three(&stds.map(Some));
                }
                if let Unit::Of(n) = m.unit {
                    line["of"] = json!(n);
                }
                line
            })
            .collect();
        let classifier = |j: &JudgeInfo| json!({ "learned": j.learned, "classes": j.classes, "accuracy": j.accuracy, "sha256": j.sha256, "path": j.path });
        let judge = self.judge.as_ref().map(classifier);
        let judges: Vec<Value> = self.judges.iter().map(classifier).collect();
        let classes: Vec<Value> = self
            .classes
            .iter()
            .map(|c| {
                let mut line = three(&c.values);
                line["class"] = json!(c.class);
                line["asked"] = json!(c.asked);
                line
            })
            .collect();
        json!({
            "name": self.name,
            "checkpoint": self.checkpoint,
            "data": self.data,
            "samples": self.samples,
            "seed": self.seed,
            "measures": measures,
            "judge": judge,
            "judges": judges,
            "classes": classes,
            "notes": self.notes,
        })
    }

    /// For readers.
    pub fn text(&self) -> String {
        let mut lines: Vec<[String; 4]> = vec![HEAD.map(String::from)];
        for m in &self.measures {
            let good = match m.better {
                Better::Lower => "↓",
                Better::Higher => "↑",
                Better::NearFloor => "≈",
            };
            let mut line = [format!("{good} {}", m.title), String::new(), String::new(), String::new()];
            for i in 0..3 {
                line[i + 1] = cell(m.values[i], m.stds.map(|s| s[i]), m.unit);
            }
            lines.push(line);
        }
        for c in &self.classes {
            let [floor, model, ceiling] = c.values.map(|v| cell(v, None, Unit::Share));
            lines.push([format!("    class {} ({} samples)", c.class, c.asked), floor, model, ceiling]);
        }
        let width = |i: usize| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        let mut text = format!(
            "{}, {}: {} samples, seed {}, against {}\n\n",
            self.name, self.checkpoint, self.samples, self.seed, self.data
        );
        for l in &lines {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<a$}  {:>b$}  {:>c$}  {:>d$}",
                l[0],
                l[1],
                l[2],
                l[3],
                a = widths[0],
                b = widths[1],
                c = widths[2],
                d = widths[3]
            );
        }
        for j in self.judge.iter().chain(&self.judges) {
            let share = cell(Some(j.accuracy), None, Unit::Share);
            let _ = writeln!(
                text,
                "\nganc classifier: learned {} classes of {}; {share} right on held-out real images",
                j.classes, j.learned
            );
            let _ = writeln!(text, "  SHA-256 {}\n  {}", j.sha256, j.path);
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }
}

fn cell(value: Option<f64>, std: Option<f64>, unit: Unit) -> String {
    let Some(x) = value else { return "-".into() };
    let one = |x: f64| match unit {
        Unit::Plain => number(x),
        Unit::Share => format!("{:.1} %", 100.0 * x),
        Unit::Of(n) => format!("{x} of {n}"),
    };
    match std {
        Some(s) => format!("{} ± {}", one(x), one(s)),
        None => one(x),
    }
}

/// Four digits or so.
fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".into(),
        a if !(1e-3..1e6).contains(&a) => format!("{x:.2e}"),
        a if a >= 100.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.3}"),
        _small => format!("{x:.4}"),
    }
}
