//! Captions of images from text files.

use super::{draw, failure, opened, text};
use ganc::data::{open, probe};
use ganc::model::source::{CaptionsOf, Crop};
use ganc::model::{Column, DataSource, Vocabulary};
use image::{Rgb, RgbImage};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn source(dir: &Path) -> DataSource {
    let (crop, range) = (Crop::Center, [0.0, 255.0]);
    DataSource::Images { dir: text(dir), size: 4, load: None, crop, flip: false, channels: 3, caption: true, range }
}

fn captioned(dir: &Path, name: &str, grey: u8, caption: Option<&[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(4, 4, Rgb([grey; 3])).save(&path).unwrap();
    if let Some(caption) = caption {
        fs::write(path.with_extension("txt"), caption).unwrap();
    }
}

fn vocabulary(source: &DataSource) -> (usize, Vocabulary, Vec<String>) {
    let info = probe(source).unwrap();
    match &info.columns[1] {
        Column::Tokens { len, vocabulary } => (*len, vocabulary.clone(), info.notes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn captions_stand_beside_their_images() {
    let dir = tempfile::tempdir().unwrap();
    captioned(dir.path(), "cats/1.png", 10, Some(b"A black cat.\n\n"));
    captioned(dir.path(), "cats/2.png", 20, Some(b"a cat\r\nsome other animal\n"));
    captioned(dir.path(), "dogs/3.png", 30, Some("Élan, the dog".as_bytes()));
    let source = source(dir.path());
    let (len, words, notes) = vocabulary(&source);
    assert_eq!((len, notes.len()), (3, 0));
    assert_eq!(words.words(), ["a", "animal", "black", "cat", "dog", "other", "some", "the", "élan"]);
    let opened = opened(&source, 3);
    let mut seen = Vec::new();
    for n in 0..20 {
        let columns = draw(opened.as_ref(), 3, &[48, len, 1], n).unwrap();
        for i in 0..3 {
            seen.push((columns[0][i * 48] as u32, words.decode(&columns[1][i * len..(i + 1) * len]), columns[2][i] as u32));
        }
    }
    seen.sort();
    seen.dedup();
    let expected = [(10, "a black cat", 0), (20, "a cat", 0), (20, "some other animal", 0), (30, "élan the dog", 1)];
    assert_eq!(seen, expected.map(|(g, t, c)| (g, t.to_string(), c)));
}

#[test]
fn captions_alone_are_the_same_and_need_no_image() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..80 {
        captioned(dir.path(), &format!("{i}.png"), i, Some(format!("number {i}\nthe {i}th").as_bytes()));
    }
    let source = source(dir.path());
    let (len, ..) = vocabulary(&source);
    let together = draw(opened(&source, 16).as_ref(), 16, &[48, len], 5).unwrap().remove(1);
    let of = |which| DataSource::Captions { of: Box::new(source.clone()), stream: 0, column: 1, which };
    let alone = open(&of(CaptionsOf::Same), 16, 7, 1).unwrap();
    let other = open(&of(CaptionsOf::Other), 16, 7, 1).unwrap();
    // Behind their headers the images are destroyed: whoever decodes one fails.
    for i in 0..80 {
        let path = dir.path().join(format!("{i}.png"));
        fs::remove_file(path).unwrap();
    }
    assert_eq!(draw(alone.as_ref(), 16, &[len], 5).unwrap()[0], together);
    let others = draw(other.as_ref(), 16, &[len], 5).unwrap().remove(0);
    assert!(others.chunks_exact(len).zip(together.chunks_exact(len)).all(|(a, b)| a != b));
}

#[test]
fn a_near_caption_has_the_fewest_other_words() {
    let dir = tempfile::tempdir().unwrap();
    let captions = ["a red cat on a mat", "a red cat that is on a mat", "a blue cat on a mat", "two dogs", "dogs on two mats"];
    for (i, caption) in captions.iter().enumerate() {
        captioned(dir.path(), &format!("{i}.png"), 10 + i as u8, Some(caption.as_bytes()));
    }
    let source = source(dir.path());
    let (len, words, _) = vocabulary(&source);
    // Each epoch is one batch with all of them.
    let n = captions.len();
    let said = |texts: &[f32]| texts.chunks_exact(len).map(|t| words.decode(t)).collect::<Vec<_>>();
    let of = |source: DataSource| DataSource::Captions { of: Box::new(source), stream: 0, column: 1, which: CaptionsOf::Near };
    for at in 0..5 {
        let own = said(&draw(opened(&source, n).as_ref(), n, &[48, len], at).unwrap()[1]);
        let near = said(&draw(open(&of(source.clone()), n, 7, 1).unwrap().as_ref(), n, &[len], at).unwrap()[0]);
        for (own, near) in own.iter().zip(&near) {
            let wanted = match own.as_str() {
                "a red cat on a mat" => "a blue cat on a mat",
                "a blue cat on a mat" | "a red cat that is on a mat" => "a red cat on a mat",
                "two dogs" => "dogs on two mats",
                "dogs on two mats" => "two dogs",
                other => panic!("{other}"),
            };
            assert_eq!(near, wanted, "beside {own}");
        }
    }
    // Where all say the same, there is nothing else.
    for i in 0..n {
        fs::write(dir.path().join(format!("{i}.txt")), "a cat").unwrap();
    }
    let same = of(source);
    let only = draw(open(&same, n, 7, 1).unwrap().as_ref(), n, &[2], 0).unwrap().remove(0);
    assert!(only.chunks_exact(2).all(|t| t == &only[..2] && t[0] != t[1]), "{only:?}");
}

#[test]
fn broken_captions() {
    let mut all = String::new();
    let mut case = |name: &str, files: &[(&str, Option<&[u8]>)]| {
        let dir = tempfile::tempdir().unwrap();
        for (file, caption) in files {
            captioned(dir.path(), file, 1, *caption);
        }
        writeln!(all, "--- {name}\n{}\n", failure(dir.path(), &source(dir.path()))).unwrap();
        let probed = probe(&source(dir.path())).expect_err("the probe says so too");
        assert!(!probed.contains('\n'), "{probed}");
    };
    case("one without", &[("a.png", Some(b"a cat")), ("b.png", None)]);
    case("several without", &[("a.png", None), ("b.png", None), ("c.png", Some(b"x"))]);
    case("no word", &[("a.png", Some(b" \n -- \n"))]);
    case("no text", &[("a.png", Some(b"\xff\xfe\x00"))]);
    case("too large", &[("a.png", Some(&[b'a'; 70_000]))]);
    insta::assert_snapshot!(all);
    let dir = tempfile::tempdir().unwrap();
    captioned(dir.path(), "a.png", 1, Some("word ".repeat(100).as_bytes()));
    let (len, _, notes) = vocabulary(&source(dir.path()));
    assert_eq!((len, notes), (64, vec!["a caption has more than 64 words: the rest is left out".to_string()]));
}
