//! The words of the `data` section with their keys, and which settings do not go together.

use super::{Crop, DataSource, PairLayout, ShapeFill, ShapeLabel, SoundSettings, Speaker};
use crate::diag::Diagnostic;
use crate::model::args::{Args, Default, Key, Kind};

const IMAGE_RANGE: Key = Key { name: "range", kind: Kind::Range, default: Default::Range(-1.0, 1.0) };
pub const POSITIVE: Kind = Kind::Real(0.0, 1e9);
const PART: Key = Key { name: "part", kind: Kind::Range, default: Default::Range(0.0, 1.0) };
const SIDE: Kind = Kind::Whole(1, 4096);

const RATE: Key = Key { name: "rate", kind: Kind::Whole(4000, 48_000), default: Default::Number(8000.0) };
const MELS: Key = Key { name: "mels", kind: Kind::Whole(8, 128), default: Default::Number(64.0) };
const FRAMES: Key = Key { name: "frames", kind: Kind::Whole(4, 1024), default: Default::Number(64.0) };

fn sound(a: &Args) -> SoundSettings {
    SoundSettings { rate: a.whole("rate"), mels: a.whole("mels"), frames: a.whole("frames") }
}

/// A word of the `data` section with its keys.
pub type DataRule = (&'static str, &'static [Key], fn(&Args) -> DataSource);

pub const DATA: &[DataRule] = &[
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
            Key {
                name: "label",
                kind: Kind::Word(&["shape", "colour", "size", "background", "fill"]),
                default: Default::Word("shape"),
            },
            Key { name: "caption", kind: Kind::Flag, default: Default::Flag(false) },
            Key { name: "fill", kind: Kind::Word(&["plain", "striped", "any"]), default: Default::Word("plain") },
            IMAGE_RANGE,
        ],
        |a| {
            let label = match a.word("label") {
                "colour" => ShapeLabel::Colour,
                "size" => ShapeLabel::Size,
                "background" => ShapeLabel::Background,
                "fill" => ShapeLabel::Fill,
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

/// Settings that do not go together.
pub fn contradiction(word: &str, source: &DataSource, args: &Args) -> Option<Diagnostic> {
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
