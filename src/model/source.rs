//! Where samples come from: the calls of the `data` and `noise` sections, as typed settings.
//!
//! What a source delivers is known from its settings where possible; the number of classes of a folder, the shape of an
//! array and the length of a data set need a look at the files, which the data room does for us: see [`Probe`].

mod noise;

use super::args::{Args, Default, Evaluate, Key, Kind, read};
use super::suggest::did_you_mean;
use super::words::{SHAPE_CAPTION, Vocabulary, shape_words};
use crate::diag::{Diagnostic, Span};
use crate::graph::Shape;
use crate::syntax::ast::{Arg, Name};
pub use noise::{NoiseSource, noise};

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
        /// Whether they are those of other images than the ones drawn beside them.
        mismatched: bool,
    },
    /// An array `[samples, ...]` in NumPy's format.
    Npy {
        /// The file.
        path: String,
    },
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

impl ShapeLabel {
    /// How many classes it has.
    pub fn classes(self) -> usize {
        match self {
            ShapeLabel::Shape => 4,
            ShapeLabel::Colour => 6,
            ShapeLabel::Size => 3,
            ShapeLabel::Background => 6,
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

const IMAGE_RANGE: Key = Key { name: "range", kind: Kind::Range, default: Default::Range(-1.0, 1.0) };
const PART: Key = Key { name: "part", kind: Kind::Range, default: Default::Range(0.0, 1.0) };
const POSITIVE: Kind = Kind::Real(0.0, 1e9);
const SIDE: Kind = Kind::Whole(1, 4096);

const RATE: Key = Key { name: "rate", kind: Kind::Whole(4000, 48_000), default: Default::Number(8000.0) };
const MELS: Key = Key { name: "mels", kind: Kind::Whole(8, 128), default: Default::Number(64.0) };
const FRAMES: Key = Key { name: "frames", kind: Kind::Whole(4, 1024), default: Default::Number(64.0) };

fn sound(a: &Args) -> SoundSettings {
    SoundSettings { rate: a.whole("rate"), mels: a.whole("mels"), frames: a.whole("frames") }
}

/// A word of the `data` section with its keys.
type DataRule = (&'static str, &'static [Key], fn(&Args) -> DataSource);

const DATA: &[DataRule] = &[
    (
        "ring",
        &[
            Key { name: "modes", kind: Kind::Whole(1, 100_000), default: Default::Number(8.0) },
            Key { name: "radius", kind: POSITIVE, default: Default::Number(2.0) },
            Key { name: "std", kind: POSITIVE, default: Default::Number(0.02) },
        ],
        |a| DataSource::Ring { modes: a.whole("modes"), radius: a.real("radius"), std: a.real("std") },
    ),
    (
        "grid",
        &[
            Key { name: "side", kind: Kind::Whole(1, 1000), default: Default::Number(5.0) },
            Key { name: "spacing", kind: POSITIVE, default: Default::Number(2.0) },
            Key { name: "std", kind: POSITIVE, default: Default::Number(0.05) },
        ],
        |a| DataSource::Grid { side: a.whole("side"), spacing: a.real("spacing"), std: a.real("std") },
    ),
    ("swiss_roll", &[Key { name: "noise", kind: POSITIVE, default: Default::Number(0.5) }], |a| DataSource::SwissRoll {
        noise: a.real("noise"),
    }),
    ("digits", &[Key { name: "size", kind: Kind::Whole(8, 256), default: Default::Number(28.0) }, IMAGE_RANGE], |a| {
        DataSource::Digits { size: a.whole("size"), range: a.range("range") }
    }),
    (
        "shapes",
        &[
            Key { name: "size", kind: Kind::Whole(8, 1024), default: Default::Number(64.0) },
            Key { name: "label", kind: Kind::Word(&["shape", "colour", "size", "background"]), default: Default::Word("shape") },
            Key { name: "caption", kind: Kind::Flag, default: Default::Flag(false) },
            Key { name: "fill", kind: Kind::Word(&["plain", "striped", "any"]), default: Default::Word("plain") },
            IMAGE_RANGE,
        ],
        |a| {
            let label = match a.word("label") {
                "colour" => ShapeLabel::Colour,
                "size" => ShapeLabel::Size,
                "background" => ShapeLabel::Background,
                _shape => ShapeLabel::Shape,
            };
            let fill = match a.word("fill") {
                "striped" => ShapeFill::Striped,
                "any" => ShapeFill::Any,
                _plain => ShapeFill::Plain,
            };
            DataSource::Shapes { size: a.whole("size"), label, caption: a.flag("caption"), fill, range: a.range("range") }
        },
    ),
    (
        "mnist",
        &[
            Key { name: "dir", kind: Kind::Text, default: Default::Required },
            Key { name: "size", kind: SIDE, default: Default::Number(28.0) },
            PART,
            IMAGE_RANGE,
        ],
        |a| DataSource::Mnist {
            dir: a.text("dir").into(),
            size: a.whole("size"),
            part: a.range("part"),
            range: a.range("range"),
        },
    ),
    (
        "idx",
        &[
            Key { name: "images", kind: Kind::Text, default: Default::Required },
            Key { name: "labels", kind: Kind::Text, default: Default::Absent },
            Key { name: "size", kind: SIDE, default: Default::Absent },
            PART,
            IMAGE_RANGE,
        ],
        |a| DataSource::Idx {
            images: a.text("images").into(),
            labels: a.given("labels").then(|| a.text("labels").into()),
            size: a.given("size").then(|| a.whole("size")),
            part: a.range("part"),
            range: a.range("range"),
        },
    ),
    (
        "images",
        &[
            Key { name: "dir", kind: Kind::Text, default: Default::Required },
            Key { name: "size", kind: SIDE, default: Default::Number(64.0) },
            Key { name: "load", kind: SIDE, default: Default::Absent },
            Key { name: "crop", kind: Kind::Word(&["center", "random"]), default: Default::Word("center") },
            Key { name: "flip", kind: Kind::Flag, default: Default::Flag(false) },
            Key { name: "channels", kind: Kind::Whole(1, 4), default: Default::Number(3.0) },
            Key { name: "caption", kind: Kind::Flag, default: Default::Flag(false) },
            IMAGE_RANGE,
        ],
        |a| DataSource::Images {
            dir: a.text("dir").into(),
            size: a.whole("size"),
            load: a.given("load").then(|| a.whole("load")),
            crop: if a.word("crop") == "random" { Crop::Random } else { Crop::Center },
            flip: a.flag("flip"),
            channels: a.whole("channels"),
            caption: a.flag("caption"),
            range: a.range("range"),
        },
    ),
    (
        "pairs",
        &[
            Key { name: "dir", kind: Kind::TextOr(&["shapes"]), default: Default::Required },
            Key { name: "size", kind: SIDE, default: Default::Number(64.0) },
            Key {
                name: "layout",
                kind: Kind::Word(&["side_by_side", "folders", "grey", "edges"]),
                default: Default::Word("side_by_side"),
            },
            Key { name: "load", kind: SIDE, default: Default::Absent },
            Key { name: "crop", kind: Kind::Word(&["center", "random"]), default: Default::Word("center") },
            Key { name: "flip", kind: Kind::Flag, default: Default::Flag(false) },
            Key { name: "channels", kind: Kind::Whole(1, 3), default: Default::Number(3.0) },
            IMAGE_RANGE,
        ],
        |a| DataSource::Pairs {
            dir: a.word_for_text("dir").is_none().then(|| a.text("dir").into()),
            layout: match a.word("layout") {
                "folders" => PairLayout::Folders,
                "grey" => PairLayout::Grey,
                "edges" => PairLayout::Edges,
                _side_by_side => PairLayout::SideBySide,
            },
            size: a.whole("size"),
            load: a.given("load").then(|| a.whole("load")),
            crop: if a.word("crop") == "random" { Crop::Random } else { Crop::Center },
            flip: a.flag("flip"),
            channels: a.whole("channels"),
            range: a.range("range"),
        },
    ),
    (
        "speech",
        &[
            Key { name: "dir", kind: Kind::Text, default: Default::Required },
            RATE,
            MELS,
            FRAMES,
            Key { name: "match", kind: Kind::Text, default: Default::Absent },
        ],
        |a| DataSource::Speech {
            dir: a.text("dir").into(),
            only: a.given("match").then(|| a.text("match").into()),
            sound: sound(a),
        },
    ),
    (
        "voices",
        &[Key { name: "speaker", kind: Kind::Word(&["low", "high"]), default: Default::Required }, RATE, MELS, FRAMES],
        |a| DataSource::Voices {
            speaker: if a.word("speaker") == "high" { Speaker::High } else { Speaker::Low },
            sound: sound(a),
        },
    ),
    ("npy", &[Key { name: "path", kind: Kind::Text, default: Default::Required }], |a| DataSource::Npy {
        path: a.text("path").into(),
    }),
];

/// The captions of `shapes`: `a small red circle on blue`.
fn shape_captions() -> Column {
    Column::Tokens { len: SHAPE_CAPTION, vocabulary: shape_words() }
}

/// Settings of `captions` after the stream.
pub const CAPTIONS: &[Key] = &[Key { name: "mismatched", kind: Kind::Flag, default: Default::Flag(false) }];

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

/// Settings that do not go together.
fn contradiction(word: &str, source: &DataSource, args: &Args) -> Option<Diagnostic> {
    if let DataSource::Images { size, load: Some(load), .. } | DataSource::Pairs { size, load: Some(load), .. } = source
        && load < size
    {
        let d = Diagnostic::new("E0206", args.span("load"), format!("`load` of `{word}` is smaller than `size`"));
        let d = d.label("images are scaled to this before a piece is cut out");
        return Some(d.expected(format!("at least {size}")).found(load.to_string()));
    }
    if let DataSource::Images { channels: 2, .. } | DataSource::Pairs { channels: 2, .. } = source {
        let opacity = if word == "images" { ", 3 (colour) or 4 (with opacity)" } else { " or 3 (colour)" };
        let d = Diagnostic::new("E0206", args.span("channels"), "no image has 2 channels");
        return Some(d.expected(format!("1 (grey){opacity}")).found("2"));
    }
    if let DataSource::Mnist { part, .. } | DataSource::Idx { part, .. } = source
        && (part[0] < 0.0 || part[1] > 1.0)
    {
        let d = Diagnostic::new("E0206", args.span("part"), "there is no such part");
        return Some(d.expected("from 0 to 1, such as [0, 0.9]").found(format!("[{}, {}]", part[0], part[1])));
    }
    let DataSource::Pairs { dir, layout, size, load, crop, flip, channels, .. } = source else { return None };
    if *layout == PairLayout::Grey && *channels == 1 {
        let d = Diagnostic::new("E0206", args.span("channels"), "both images of a pair would be the same grey one");
        return Some(d.expected("3 channels with `layout=grey`").found("1"));
    }
    if dir.is_some() {
        return None;
    }
    if !layout.is_made() {
        let d = Diagnostic::new("E0206", args.span("layout"), "drawn shapes have no files with pairs")
            .expected("`layout=grey` or `layout=edges`")
            .found(format!("`layout={}`", layout.word()));
        return Some(d.hint("name a folder in quotes, or have the first image made of the second"));
    }
    if *size < 8 {
        let d = Diagnostic::new("E0206", args.span("size"), "shapes cannot be drawn so small");
        return Some(d.expected("at least 8").found(size.to_string()));
    }
    let idle = [("load", load.is_some()), ("crop", *crop == Crop::Random), ("flip", *flip), ("channels", *channels == 1)];
    let (key, _) = idle.into_iter().find(|k| k.1)?;
    let d = Diagnostic::new("E0206", args.span(key), format!("`{key}` is for files, not for drawn shapes"));
    Some(d.hint(format!("leave `{key}` out")))
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
