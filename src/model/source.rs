//! Where samples come from: the calls of the `data` and `noise` sections, as typed settings.
//!
//! What a source delivers is known from its settings where possible; the number of classes of a folder, the shape of an
//! array and the length of a data set need a look at the files, which the data room does for us: see [`Probe`].

mod noise;
mod table;

use super::Type;
use super::args::{Default, Evaluate, Key, Kind, read};
use super::suggest::did_you_mean;
use super::words::{SHAPE_CAPTION, Vocabulary, shape_words};
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;
use crate::syntax::ast::{Arg, Name};
pub use noise::{NoiseSource, noise};
use table::{DATA, contradiction};

/// Looks at the files behind a source. Errors: a sentence for the user (missing folder, broken file).
pub type Probe<'p> = dyn Fn(&DataSource) -> Result<StreamInfo, String> + 'p;

/// A source of real samples. Paths are relative to the working directory.
#[derive(Clone, PartialEq, Debug)]
pub enum DataSource {
    /// Gaussians with their centres on a circle: `[2]`.
    Ring {
        /// How many.
        modes: usize,
        /// Of the circle.
        radius: f64,
        /// Standard deviation of each.
        std: f64,
    },
    /// Gaussians with their centres on a square grid around 0: `[2]`.
    Grid {
        /// Centres per side.
        side: usize,
        /// Between neighbouring centres.
        spacing: f64,
        /// Standard deviation of each.
        std: f64,
    },
    /// The spiral of scikit-learn's `make_swiss_roll`, seen from the side: `[2]`.
    SwissRoll {
        /// Standard deviation of the noise.
        noise: f64,
    },
    /// Drawn digits: image `[1, size, size]`, class of 10.
    Digits {
        /// Height and width.
        size: usize,
        /// Values of black and white.
        range: [f64; 2],
    },
    /// Drawn coloured shapes: image `[3, size, size]`, and one label.
    Shapes {
        /// Height and width.
        size: usize,
        /// What the label tells.
        label: ShapeLabel,
        /// Whether each image comes with its caption.
        caption: bool,
        /// How the shape is filled; everything else in the image is the same for each fill.
        fill: ShapeFill,
        /// Values of dark and light.
        range: [f64; 2],
    },
    /// A folder with MNIST's files (plain or gzip): image `[1, size, size]`, class of 10.
    Mnist {
        /// The folder.
        dir: String,
        /// Height and width after scaling.
        size: usize,
        /// Where the images that are used begin and end, from 0 to 1: `[0, 0.9]` leaves the last tenth for a test.
        part: [f64; 2],
        /// Values of black and white.
        range: [f64; 2],
    },
    /// Files in MNIST's format: image `[1, H, W]`, class.
    Idx {
        /// File of images.
        images: String,
        /// File of labels.
        labels: Option<String>,
        /// Height and width after scaling; as stored when absent.
        size: Option<usize>,
        /// Where the images that are used begin and end, from 0 to 1.
        part: [f64; 2],
        /// Values of black and white.
        range: [f64; 2],
    },
    /// A folder of PNG and JPEG images; folders inside it are classes: image `[channels, size, size]`, class.
    Images {
        /// The folder.
        dir: String,
        /// Height and width of a sample.
        size: usize,
        /// Length of the shorter side before cropping; `size` when absent.
        load: Option<usize>,
        /// Where a sample is cut.
        crop: Crop,
        /// Whether every other sample is mirrored.
        flip: bool,
        /// 1 (grey), 3 (colour) or 4 (with opacity).
        channels: usize,
        /// Whether each image comes with a caption: a line of the text file of the same name beside it.
        caption: bool,
        /// Values of dark and light.
        range: [f64; 2],
    },
    /// Two images of the same thing, cut and mirrored alike: `[channels, size, size]` twice; the first has 1 channel where it is
    /// made of the second.
    Pairs {
        /// The folder; `None` for drawn shapes.
        dir: Option<String>,
        /// Where the two are.
        layout: PairLayout,
        /// Height and width of a sample.
        size: usize,
        /// Length of the shorter side before cropping; `size` when absent.
        load: Option<usize>,
        /// Where a sample is cut.
        crop: Crop,
        /// Whether every other sample is mirrored.
        flip: bool,
        /// 1 (grey) or 3 (colour).
        channels: usize,
        /// Values of dark and light.
        range: [f64; 2],
    },
    /// A folder of WAV files; folders inside it are speakers: log-mel frames `[mels, frames]`, class.
    Speech {
        /// The folder.
        dir: String,
        /// Which files, by name: `*` stands for anything.
        only: Option<String>,
        /// What is made of the sound.
        sound: SoundSettings,
    },
    /// A made-up speaker who says random vowels: log-mel frames `[mels, frames]`.
    Voices {
        /// Who.
        speaker: Speaker,
        /// What is made of the sound.
        sound: SoundSettings,
    },
    /// Captions of another binding's images.
    Captions {
        /// The source of the images.
        of: Box<DataSource>,
        /// Its position among the bindings.
        stream: u32,
        /// Position of the captions among its columns.
        column: usize,
        /// Which of them.
        which: CaptionsOf,
    },
    /// An array `[samples, ...]` in NumPy's format.
    Npy {
        /// The file.
        path: String,
    },
}

/// Whose captions [`DataSource::Captions`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaptionsOf {
    /// Of the images drawn beside them.
    Same,
    /// Of other images of the same batch.
    Other,
    /// Of those other images of the same batch whose captions differ in the fewest words.
    Near,
}

/// What the label of [`DataSource::Shapes`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShapeLabel {
    /// Circle, square, triangle, ...
    Shape,
    /// Of the shape.
    Colour,
    /// Small, medium, large.
    Size,
    /// Colour behind it.
    Background,
    /// Plain or striped.
    Fill,
}

/// How the shape of [`DataSource::Shapes`] is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShapeFill {
    /// One colour.
    Plain,
    /// Stripes of its colour and of a much lighter or darker shade of it.
    Striped,
    /// Each of the two half of the time.
    Any,
}

impl ShapeFill {
    /// Its word in a spec.
    pub fn word(self) -> &'static str {
        match self {
            ShapeFill::Plain => "plain",
            ShapeFill::Striped => "striped",
            ShapeFill::Any => "any",
        }
    }
}

impl ShapeLabel {
    /// Its word in a spec.
    pub fn word(self) -> &'static str {
        match self {
            ShapeLabel::Shape => "shape",
            ShapeLabel::Colour => "colour",
            ShapeLabel::Size => "size",
            ShapeLabel::Background => "background",
            ShapeLabel::Fill => "fill",
        }
    }

    /// How many classes it has.
    pub fn classes(self) -> usize {
        match self {
            ShapeLabel::Shape => 4,
            ShapeLabel::Colour => 6,
            ShapeLabel::Size => 3,
            ShapeLabel::Background => 6,
            ShapeLabel::Fill => 2,
        }
    }
}

/// Where the two images of a pair are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PairLayout {
    /// Left and right in one file.
    SideBySide,
    /// Files of the same name in the folders `a` and `b` (or `A` and `B`).
    Folders,
    /// The first is how light the second is, in 1 channel.
    Grey,
    /// The first has the edges of the second, light on dark, in 1 channel.
    Edges,
}

impl PairLayout {
    /// Its word in a spec.
    pub fn word(self) -> &'static str {
        match self {
            PairLayout::SideBySide => "side_by_side",
            PairLayout::Folders => "folders",
            PairLayout::Grey => "grey",
            PairLayout::Edges => "edges",
        }
    }

    /// Whether the first image is computed from the second.
    pub fn is_made(self) -> bool {
        match self {
            PairLayout::SideBySide | PairLayout::Folders => false,
            PairLayout::Grey | PairLayout::Edges => true,
        }
    }

    /// Channels of both images, where the source has `channels`.
    pub fn channels(self, channels: usize) -> [usize; 2] {
        [if self.is_made() { 1 } else { channels }, channels]
    }
}

/// A made-up speaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// About 110 Hz.
    Low,
    /// About 210 Hz, and a shorter throat.
    High,
}

/// What is made of sound: frames of the logarithm of its mel spectrum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SoundSettings {
    /// Samples per second; files of other rates are converted.
    pub rate: usize,
    /// Bands of the spectrum.
    pub mels: usize,
    /// Frames of a sample.
    pub frames: usize,
}

/// Where a sample is cut out of a larger image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crop {
    /// The middle.
    Center,
    /// Anywhere.
    Random,
}

impl Column {
    /// What a name for it stands for.
    pub fn ty(&self) -> Type {
        match self {
            Column::Image { c, h, w } => Type::Tensor(vec![*c, *h, *w]),
            Column::Vector(n) => Type::Tensor(vec![*n]),
            Column::Array(shape) => Type::Tensor(shape.clone()),
            Column::Class(n) => Type::Class(*n),
            Column::Tokens { len, vocabulary } => Type::Tokens { len: *len, words: vocabulary.len() },
        }
    }
}

/// What a source delivers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamInfo {
    /// What can be named on the left, in order.
    pub columns: Vec<Column>,
    /// Number of samples; `None` for an endless source.
    pub len: Option<u64>,
    /// What was done to the files on the way, where the user would want to know.
    pub notes: Vec<String>,
}

impl StreamInfo {
    /// Without notes.
    pub fn new(columns: Vec<Column>, len: Option<u64>) -> StreamInfo {
        StreamInfo { columns, len, notes: Vec::new() }
    }
}

/// One thing a source delivers per sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Column {
    /// An image `[c, h, w]`.
    Image {
        /// Channels.
        c: usize,
        /// Height.
        h: usize,
        /// Width.
        w: usize,
    },
    /// A vector `[n]`.
    Vector(usize),
    /// A label, one of so many.
    Class(usize),
    /// A text of so many places.
    Tokens {
        /// Places.
        len: usize,
        /// Its words.
        vocabulary: Vocabulary,
    },
    /// An array of any shape.
    Array(Shape),
}

/// The captions of `shapes`: `a small red circle on blue`.
fn shape_captions() -> Column {
    Column::Tokens { len: SHAPE_CAPTION, vocabulary: shape_words() }
}

/// Settings of `captions` after the stream.
pub const CAPTIONS: &[Key] = &[
    Key { name: "mismatched", kind: Kind::Flag, default: Default::Flag(false) },
    Key { name: "near", kind: Kind::Flag, default: Default::Flag(false) },
];

/// Reads a call of the `data` section, reporting to `to`; also gives the call as one would write it.
pub fn data(to: &mut dyn Evaluate, callee: &Name, args: &[Arg], span: Span) -> Option<(DataSource, String)> {
    let Some((word, keys, make)) = DATA.iter().find(|d| d.0 == callee.text) else {
        let words: Vec<&str> = DATA.iter().map(|d| d.0).collect();
        let d = Diagnostic::new("E0601", callee.span, format!("unknown source of data `{}`", callee.text))
            .label("not a source")
            .expected(format!("one of {}", words.join(", ")));
        to.report(match did_you_mean(&callee.text, words) {
            Some(h) => d.hint(h),
            None => d,
        });
        return None;
    };
    let args = read(to, word, span, args, keys)?;
    let source = make(&args);
    if let Some(wrong) = contradiction(word, &source, &args) {
        to.report(wrong);
        return None;
    }
    Some((source, args.shown().to_string()))
}

impl DataSource {
    /// What the source delivers as far as its settings tell, and whether there is more to learn from its files.
    pub fn known(&self) -> (StreamInfo, bool) {
        let image = |c: usize, size: usize| Column::Image { c, h: size, w: size };
        let frames = |s: &SoundSettings| vec![Column::Array(vec![s.mels, s.frames])];
        let endless = |columns| (StreamInfo::new(columns, None), false);
        let stored = |columns| (StreamInfo::new(columns, None), true);
        match self {
            DataSource::Ring { .. } | DataSource::Grid { .. } | DataSource::SwissRoll { .. } => endless(vec![Column::Vector(2)]),
            DataSource::Digits { size, .. } => endless(vec![image(1, *size), Column::Class(10)]),
            DataSource::Shapes { size, label, caption, .. } => {
                let mut columns = vec![image(3, *size), Column::Class(label.classes())];
                if *caption {
                    columns.insert(1, shape_captions());
                }
                endless(columns)
            }
            DataSource::Captions { of, column, .. } => {
                let (info, more) = of.known();
                (StreamInfo::new(info.columns.get(*column).cloned().into_iter().collect(), info.len), more)
            }
            DataSource::Mnist { size, .. } => stored(vec![image(1, *size), Column::Class(10)]),
            DataSource::Idx { size, .. } => stored(size.map(|s| image(1, s)).into_iter().collect()),
            DataSource::Images { size, channels, .. } => stored(vec![image(*channels, *size)]),
            DataSource::Pairs { dir, layout, size, channels, .. } => {
                let columns = layout.channels(*channels).map(|c| image(c, *size)).to_vec();
                if dir.is_some() { stored(columns) } else { endless(columns) }
            }
            DataSource::Speech { sound, .. } => stored(frames(sound)),
            DataSource::Voices { sound, .. } => endless(frames(sound)),
            DataSource::Npy { .. } => stored(Vec::new()),
        }
    }

    /// The values of dark and light, for images.
    pub fn range(&self) -> Option<[f64; 2]> {
        match self {
            DataSource::Digits { range, .. }
            | DataSource::Shapes { range, .. }
            | DataSource::Mnist { range, .. }
            | DataSource::Idx { range, .. }
            | DataSource::Images { range, .. }
            | DataSource::Pairs { range, .. } => Some(*range),
            DataSource::Ring { .. }
            | DataSource::Grid { .. }
            | DataSource::SwissRoll { .. }
            | DataSource::Captions { .. }
            | DataSource::Speech { .. }
            | DataSource::Voices { .. }
            | DataSource::Npy { .. } => None,
        }
    }

    /// What is made of the sound, where samples are sound.
    pub fn sound(&self) -> Option<SoundSettings> {
        match self {
            DataSource::Speech { sound, .. } | DataSource::Voices { sound, .. } => Some(*sound),
            DataSource::Digits { .. }
            | DataSource::Shapes { .. }
            | DataSource::Mnist { .. }
            | DataSource::Idx { .. }
            | DataSource::Images { .. }
            | DataSource::Pairs { .. }
            | DataSource::Ring { .. }
            | DataSource::Grid { .. }
            | DataSource::SwissRoll { .. }
            | DataSource::Captions { .. }
            | DataSource::Npy { .. } => None,
        }
    }
}
