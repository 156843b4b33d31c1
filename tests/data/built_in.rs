//! Generators: points, digits, shapes.

use super::{RANGE, draw, opened};
use ganc::data::open;
use ganc::model::DataSource;
use ganc::model::source::{CaptionsOf, ShapeFill, ShapeLabel};
use ganc::model::words::{COLOURS, SHAPE_CAPTION, SHAPES, SIZES, shape_words};
use std::fmt::Write as _;

fn built_in() -> Vec<(DataSource, Vec<usize>)> {
    vec![
        (DataSource::Ring { modes: 8, radius: 2.0, std: 0.02 }, vec![2]),
        (DataSource::Grid { side: 5, spacing: 1.0, std: 0.05 }, vec![2]),
        (DataSource::SwissRoll { noise: 0.5 }, vec![2]),
        (DataSource::Digits { size: 28, range: RANGE }, vec![28 * 28, 1]),
        (
            DataSource::Shapes { size: 32, label: ShapeLabel::Colour, caption: false, fill: ShapeFill::Plain, range: RANGE },
            vec![32 * 32 * 3, 1],
        ),
    ]
}

#[test]
fn draws_are_functions_of_seed_stream_and_draw() {
    for (source, sizes) in built_in() {
        let get = |seed, stream, n| draw(open(&source, 16, seed, stream).unwrap().as_ref(), 16, &sizes, n).unwrap();
        let first = get(1, 0, 5);
        assert!(first.iter().flatten().all(|x| x.is_finite()), "{source:?}");
        assert_eq!(first, get(1, 0, 5), "{source:?}: the same draw");
        // A source that has drawn before gives the same as a fresh one.
        let used = open(&source, 16, 1, 0).unwrap();
        draw(used.as_ref(), 16, &sizes, 0).unwrap();
        assert_eq!(first, draw(used.as_ref(), 16, &sizes, 5).unwrap(), "{source:?}: after another draw");
        assert_ne!(first[0], get(1, 0, 6)[0], "{source:?}: another draw");
        assert_ne!(first[0], get(2, 0, 5)[0], "{source:?}: another seed");
        assert_ne!(first[0], get(1, 1, 5)[0], "{source:?}: another stream");
        // The first column alone is the same as with the others.
        assert_eq!(first[0], draw(used.as_ref(), 16, &sizes[..1], 5).unwrap()[0], "{source:?}: without the label");
    }
}

#[test]
fn ring_and_grid_have_all_their_modes() {
    let std = 0.05;
    let ring = DataSource::Ring { modes: 8, radius: 2.0, std };
    let grid = DataSource::Grid { side: 5, spacing: 1.0, std };
    let ring_modes: Vec<[f64; 2]> =
        (0..8).map(|k| std::f64::consts::TAU * f64::from(k) / 8.0).map(|a| [2.0 * a.cos(), 2.0 * a.sin()]).collect();
    let grid_modes: Vec<[f64; 2]> = (0..25).map(|k| [f64::from(k % 5) - 2.0, f64::from(k / 5) - 2.0]).collect();
    for (source, modes) in [(ring, ring_modes), (grid, grid_modes)] {
        let n = 10_000;
        let points = draw(opened(&source, n).as_ref(), n, &[2], 0).unwrap().remove(0);
        let mut counts = vec![0usize; modes.len()];
        let (mut squares, mut within) = (0.0, 0);
        for p in points.chunks_exact(2) {
            let far = |m: &[f64; 2]| (f64::from(p[0]) - m[0]).powi(2) + (f64::from(p[1]) - m[1]).powi(2);
            let (mode, d) = modes.iter().map(far).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            counts[mode] += 1;
            squares += d;
            within += usize::from(d.sqrt() <= 3.0 * std);
        }
        let found = (squares / (2.0 * n as f64)).sqrt();
        assert!((found / std - 1.0).abs() < 0.03, "{source:?}: std {found}");
        // In two dimensions 98.9% lie within three standard deviations.
        assert!((0.98..0.996).contains(&(within as f64 / n as f64)), "{source:?}: {within} within 3 std");
        let mean = n as f64 / modes.len() as f64;
        // Five standard deviations of a binomial count.
        assert!(counts.iter().all(|&c| (c as f64 - mean).abs() < 5.0 * mean.sqrt()), "{source:?}: {counts:?}");
    }
}

#[test]
fn swiss_roll_is_a_spiral() {
    let n = 4000;
    let points = draw(opened(&DataSource::SwissRoll { noise: 0.0 }, n).as_ref(), n, &[2], 3).unwrap().remove(0);
    let pi = std::f32::consts::PI;
    let (mut inner, mut outer) = (f32::MAX, 0f32);
    for p in points.chunks_exact(2) {
        // On (t cos t, t sin t) the angle is the radius.
        let t = p[0].hypot(p[1]);
        assert!((1.5 * pi - 1e-3..=4.5 * pi + 1e-3).contains(&t), "{p:?}");
        assert!((p[0] - t * t.cos()).abs() < 1e-3 && (p[1] - t * t.sin()).abs() < 1e-3, "{p:?}");
        (inner, outer) = (inner.min(t), outer.max(t));
    }
    assert!(inner < 1.5 * pi + 0.1 && outer > 4.5 * pi - 0.1, "from {inner} to {outer}");
}

/// An image of `[size, size]` in -1 .. 1 as text, one character for two columns' worth of width.
fn ascii(image: &[f32], size: usize) -> String {
    let mut out = String::new();
    for row in image.chunks_exact(size) {
        let line: String = row.iter().map(|x| [" ", ".", "+", "#", "@"][((x + 1.0) * 2.4).clamp(0.0, 4.0) as usize]).collect();
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[test]
fn digits_are_readable() {
    let source = opened(&DataSource::Digits { size: 28, range: RANGE }, 64);
    let columns = draw(source.as_ref(), 64, &[784, 1], 0).unwrap();
    let mut out = String::new();
    for digit in 0..10 {
        let at = columns[1].iter().position(|&l| l == digit as f32).expect("64 digits have all ten");
        writeln!(out, "---- {digit}\n{}", ascii(&columns[0][at * 784..][..784], 28)).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn labels_are_balanced() {
    let n = 5000;
    let count = |source: &DataSource, sizes: &[usize], classes: usize| {
        let labels = draw(opened(source, n).as_ref(), n, sizes, 1).unwrap().remove(1);
        let mut counts = vec![0usize; classes];
        for l in labels {
            assert_eq!(l.fract(), 0.0);
            counts[l as usize] += 1;
        }
        let mean = n as f64 / classes as f64;
        assert!(counts.iter().all(|&c| (c as f64 - mean).abs() < 5.0 * mean.sqrt()), "{source:?}: {counts:?}");
    };
    count(&DataSource::Digits { size: 8, range: RANGE }, &[64, 1], 10);
    for label in [ShapeLabel::Shape, ShapeLabel::Colour, ShapeLabel::Size, ShapeLabel::Background] {
        count(
            &DataSource::Shapes { size: 8, label, caption: false, fill: ShapeFill::Plain, range: RANGE },
            &[192, 1],
            label.classes(),
        );
    }
}

#[test]
fn digits_keep_their_ink_inside() {
    for size in [8, 28, 32, 64] {
        let n = 200;
        let range = [0.0, 1.0];
        let images = draw(opened(&DataSource::Digits { size, range }, n).as_ref(), n, &[size * size], 0).unwrap().remove(0);
        for image in images.chunks_exact(size * size) {
            assert!(image.iter().all(|x| (0.0..=1.0).contains(x)));
            let border =
                (0..size).flat_map(|i| [image[i], image[(size - 1) * size + i], image[i * size], image[i * size + size - 1]]);
            assert!(border.fold(0.0, f32::max) == 0.0, "ink on the border at {size}");
            let ink = image.iter().sum::<f32>() / (size * size) as f32;
            assert!((0.02..0.4).contains(&ink), "{ink} of the image is ink at {size}");
        }
    }
}

#[test]
fn the_label_of_a_shape_tells_what_is_seen() {
    let (n, size) = (300, 48);
    let shapes = |label| {
        draw(
            opened(&DataSource::Shapes { size, label, caption: false, fill: ShapeFill::Plain, range: [0.0, 1.0] }, n).as_ref(),
            n,
            &[size * size * 3, 1],
            9,
        )
        .unwrap()
    };
    let colours = shapes(ShapeLabel::Colour);
    let grounds = shapes(ShapeLabel::Background);
    let sizes = shapes(ShapeLabel::Size);
    assert_eq!(colours[0], grounds[0], "the label does not change the images");
    // The hue of red, green, blue, yellow, purple, white: which channels are high.
    let kind = |p: &[f32]| match (p[0] > 0.7, p[1] > 0.48, p[2] > 0.55, p[0] > 0.4) {
        (true, true, true, _) => 5,
        (true, true, false, _) => 3,
        (_, false, true, true) => 4,
        (_, false, true, false) => 2,
        (true, false, _, _) => 0,
        (false, _, _, _) => 1,
    };
    let mut areas = [(0.0, 0); 3];
    for i in 0..n {
        let image = &colours[0][i * size * size * 3..][..size * size * 3];
        assert_eq!(kind(&image[..3]), grounds[1][i] as usize, "the ground of image {i}: {:?}", &image[..3]);
        let ground = &image[..3];
        let inside: Vec<&[f32]> = image.chunks_exact(3).filter(|p| *p != ground).collect();
        // Pixels wholly inside are the most frequent other colour.
        let most = inside.iter().max_by_key(|p| inside.iter().filter(|q| q == p).count()).unwrap();
        assert_eq!(kind(most), colours[1][i] as usize, "the colour of image {i}: {most:?}");
        let area = &mut areas[sizes[1][i] as usize];
        *area = (area.0 + inside.len() as f64 / (size * size) as f64, area.1 + 1);
    }
    let mean = areas.map(|(sum, count)| sum / f64::from(count));
    assert!(mean[0] * 1.8 < mean[1] && mean[1] * 1.8 < mean[2], "areas {mean:?}");
}

#[test]
fn captions_tell_what_is_seen_and_mismatched_ones_do_not() {
    let n = 200;
    let words = shape_words();
    let shapes = |label| DataSource::Shapes { size: 16, label, caption: true, fill: ShapeFill::Plain, range: RANGE };
    let sizes = [16 * 16 * 3, SHAPE_CAPTION, 1];
    let drawn = |label| draw(opened(&shapes(label), n).as_ref(), n, &sizes, 4).unwrap();
    let (shape, colour, size, ground) =
        (drawn(ShapeLabel::Shape), drawn(ShapeLabel::Colour), drawn(ShapeLabel::Size), drawn(ShapeLabel::Background));
    let caption = |texts: &[f32], i: usize| words.decode(&texts[i * SHAPE_CAPTION..(i + 1) * SHAPE_CAPTION]);
    for i in 0..n {
        let said = format!(
            "a {} {} {} on {}",
            SIZES[size[2][i] as usize],
            COLOURS[colour[2][i] as usize],
            SHAPES[shape[2][i] as usize],
            COLOURS[ground[2][i] as usize]
        );
        assert_eq!(caption(&shape[1], i), said);
    }
    let plain = DataSource::Shapes { size: 16, label: ShapeLabel::Shape, caption: false, fill: ShapeFill::Plain, range: RANGE };
    assert_eq!(draw(opened(&plain, n).as_ref(), n, &[16 * 16 * 3], 4).unwrap()[0], shape[0], "captions do not change the images");
    let of = |which| DataSource::Captions { of: Box::new(shapes(ShapeLabel::Shape)), stream: 0, column: 1, which };
    let texts = |which| draw(opened(&of(which), n).as_ref(), n, &[SHAPE_CAPTION], 4).unwrap().remove(0);
    assert_eq!(texts(CaptionsOf::Same), shape[1]);
    let others = texts(CaptionsOf::Other);
    assert!((0..n).all(|i| caption(&others, i) != caption(&shape[1], i)));
    // Among two hundred there is nearly always a caption with one other word.
    let near = texts(CaptionsOf::Near);
    let wrong = |i: usize| {
        let (said, true_one) = (caption(&near, i), caption(&shape[1], i));
        said.split(' ').zip(true_one.split(' ')).map(|(a, b)| a != b).collect::<Vec<_>>()
    };
    let words_wrong = |i: usize| wrong(i).iter().filter(|w| **w).count();
    let hard = (0..n).filter(|&i| words_wrong(i) == 1).count();
    assert!((0..n).all(|i| (1..=2).contains(&words_wrong(i))) && hard > n - n / 20, "one word differs in {hard}");
    // Each of the four things said is the wrong one somewhere.
    assert!([1, 2, 3, 5].iter().all(|&place| (0..n).any(|i| wrong(i)[place])));
}

#[test]
fn words_outside_the_vocabulary_are_told() {
    let words = shape_words();
    let mut places = [9.0; 8];
    assert_eq!(words.encode("A small, RED circle!", &mut places), [""; 0]);
    assert_eq!(words.decode(&places), "a small red circle");
    assert_eq!(places[4..], [0.0; 4]);
    assert_eq!(words.encode("a striped circle", &mut places), ["striped"]);
    assert_eq!(words.decode(&places), "a ? circle");
}

/// How many pixels are clearly of another colour.
fn differing(a: &[f32], b: &[f32]) -> usize {
    a.chunks_exact(3).zip(b.chunks_exact(3)).filter(|(p, q)| p.iter().zip(*q).any(|(x, y)| (x - y).abs() > 0.2)).count()
}

#[test]
fn stripes_change_the_shape_alone() {
    let (n, size) = (64, 32);
    let each = size * size * 3;
    let labelled = |fill, label| {
        let source = DataSource::Shapes { size, label, caption: true, fill, range: [0.0, 1.0] };
        draw(opened(&source, n).as_ref(), n, &[each, SHAPE_CAPTION, 1], 3).unwrap()
    };
    let get = |fill| labelled(fill, ShapeLabel::Size);
    let fills = labelled(ShapeFill::Any, ShapeLabel::Fill);
    let (plain, striped, any) = (get(ShapeFill::Plain), get(ShapeFill::Striped), get(ShapeFill::Any));
    assert_eq!(plain[1..], striped[1..], "captions and labels");
    assert_eq!(any[..2], fills[..2], "only the label is another");
    let mut chosen = [0; 2];
    for i in 0..n {
        let at = |columns: &Vec<Vec<f32>>| columns[0][i * each..(i + 1) * each].to_vec();
        let (p, s, a) = (at(&plain), at(&striped), at(&any));
        // The ground is the same; about half of the shape has another colour, clearly so.
        let ground = &p[..3];
        let shape = p.chunks_exact(3).filter(|q| q.iter().zip(ground).any(|(x, y)| (x - y).abs() > 0.02)).count();
        let changed = differing(&p, &s) as f32 / shape as f32;
        assert!((0.25..0.75).contains(&changed), "image {i}: {changed} of the shape differ");
        let outside = p.chunks_exact(3).zip(s.chunks_exact(3)).filter(|(x, _)| *x == ground);
        assert!(outside.clone().count() > 100 && outside.clone().all(|(x, y)| x == y), "image {i}: the ground");
        assert!(a == p || a == s, "image {i}: neither plain nor striped");
        assert_eq!(fills[2][i], f32::from(u8::from(a == s)), "image {i}: the label of its fill");
        chosen[usize::from(a == s)] += 1;
    }
    assert!(chosen.iter().all(|&c| c > n / 4), "{chosen:?}");
}
