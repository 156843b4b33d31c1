//! Pictures, arrays, metrics, progress and the folders of runs.

use ganc::output::images::{GridStyle, Shape, grid, single, write_folder, write_grid, write_png};
use ganc::output::progress::{State, line, show_time};
use ganc::output::scatter::scatter;
use ganc::output::{Metrics, OutputError, Progress, RunFolder, arrays};
use image::{DynamicImage, GenericImageView, Rgba};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const RANGE: [f64; 2] = [-1.0, 1.0];

fn grey(height: usize, width: usize) -> Shape {
    Shape { height, width, channels: 1 }
}

fn plain(columns: usize, padding: usize) -> GridStyle {
    GridStyle { columns: Some(columns), padding, enlarge: false }
}

fn pixel(picture: &DynamicImage, x: u32, y: u32) -> [u8; 3] {
    let Rgba([r, g, b, _]) = picture.get_pixel(x, y);
    [r, g, b]
}

#[test]
fn a_grid_has_its_samples_in_rows() {
    // Five samples of 2 x 3 in rows of two; sample i is i/10, its last pixel 1.
    let samples: Vec<f32> = (0..5).flat_map(|i| [i as f32 / 10.0; 5].into_iter().chain([1.0])).collect();
    let picture = grid(&samples, grey(2, 3), [0.0, 1.0], plain(2, 1)).unwrap();
    assert_eq!(picture.dimensions(), (1 + 2 * 4, 1 + 3 * 3));
    for i in 0..5u32 {
        let (x, y) = (1 + (i % 2) * 4, 1 + (i / 2) * 3);
        let value = (f64::from(i) * 25.5).round() as u8;
        assert_eq!(pixel(&picture, x, y), [value; 3], "sample {i}");
        assert_eq!(pixel(&picture, x + 2, y + 1), [255; 3], "the last pixel of sample {i}");
    }
    let gap = pixel(&picture, 0, 0);
    assert_eq!(pixel(&picture, 4, 4), gap, "between the samples");
    assert_eq!(pixel(&picture, 6, 8), gap, "where there is no sixth sample");
    assert!(gap != [0; 3] && gap != [255; 3]);
}

#[test]
fn small_samples_are_enlarged_by_whole_factors() {
    let samples: Vec<f32> = (0..16 * 28 * 28).map(|i| ((i % 13) as f32 - 6.0) / 6.0).collect();
    let shape = grey(28, 28);
    let small = grid(&samples, shape, RANGE, GridStyle { columns: None, padding: 2, enlarge: false }).unwrap();
    let large = grid(&samples, shape, RANGE, GridStyle::USUAL).unwrap();
    assert_eq!(small.dimensions(), (122, 122), "four by four");
    let factor = large.width() / small.width();
    assert!(factor >= 2 && large.dimensions() == (122 * factor, 122 * factor));
    for (x, y) in [(0, 0), (2, 2), (3, 2), (31, 40), (121, 60)] {
        for (dx, dy) in [(0, 0), (factor - 1, factor - 1)] {
            assert_eq!(pixel(&large, x * factor + dx, y * factor + dy), pixel(&small, x, y), "{x}, {y}");
        }
    }
    let wide = Shape { height: 256, width: 256, channels: 1 };
    assert_eq!(
        grid(&vec![0.0; 256 * 256], wide, RANGE, GridStyle::USUAL).unwrap().dimensions(),
        (260, 260),
        "large ones are not"
    );
}

#[test]
fn colours_opacity_and_values_out_of_range() {
    let colour = Shape { height: 1, width: 2, channels: 3 };
    let picture = single(&[-1.0, 0.0, 1.0, -7.0, 7.0, f32::NAN], colour, RANGE).unwrap();
    assert_eq!((pixel(&picture, 0, 0), pixel(&picture, 1, 0)), ([0, 128, 255], [0, 255, 0]));
    let opacity = Shape { height: 1, width: 1, channels: 4 };
    let picture = grid(&[1.0, 1.0, 1.0, 0.0], opacity, [0.0, 1.0], plain(1, 1)).unwrap();
    assert_eq!((picture.get_pixel(1, 1).0, picture.get_pixel(0, 0).0[3]), ([255, 255, 255, 0], 255));
    let two = Shape { height: 1, width: 2, channels: 2 };
    let picture = single(&[1.0, 0.0, 0.0, 1.0], two, [0.0, 1.0]).unwrap();
    assert_eq!((pixel(&picture, 0, 0), pixel(&picture, 1, 0)), ([255; 3], [0; 3]), "the first of two channels");
    assert_eq!(grid(&[], grey(2, 2), RANGE, GridStyle::USUAL).unwrap_err(), "there is no sample to show");
}

#[test]
fn pictures_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let samples: Vec<f32> = (0..3 * 12).map(|i| i as f32 / 36.0).collect();
    let shape = Shape { height: 2, width: 2, channels: 3 };
    let path = dir.path().join("grid.png");
    write_grid(&path, &samples, shape, [0.0, 1.0], plain(3, 0)).unwrap();
    assert_eq!(image::open(&path).unwrap(), grid(&samples, shape, [0.0, 1.0], plain(3, 0)).unwrap());
    let folder = dir.path().join("new/samples");
    write_folder(&folder, &samples, shape, [0.0, 1.0]).unwrap();
    for i in 0..3 {
        let read = image::open(folder.join(format!("{i:05}.png"))).unwrap();
        assert_eq!(read, single(&samples[i * 12..][..12], shape, [0.0, 1.0]).unwrap());
    }
    let missing = dir.path().join("no/such/grid.png");
    assert!(
        matches!(write_grid(&missing, &samples, shape, RANGE, GridStyle::USUAL), Err(OutputError::Io { path, .. }) if path == missing)
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside the files");
}

#[test]
fn a_scatter_plot_shows_both_kinds_of_points() {
    let real = [-2.0, -2.0, 2.0, 2.0, -2.0, 2.0, 2.0, -2.0];
    let generated = [0.5, 0.5, 100.0, 0.0, f32::NAN, 0.0];
    let picture = scatter(&real, &generated);
    let (w, h) = picture.dimensions();
    assert_eq!(w, h);
    let find = |test: &dyn Fn([u8; 3]) -> bool| -> Vec<(u32, u32)> {
        (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).filter(|&(x, y)| test(pixel(&picture, x, y))).collect()
    };
    let coloured = find(&|[r, _, b]| r > b.saturating_add(50));
    let grey = find(&|[r, g, b]| r == g && g == b && r < 185);
    // The generated point is right of the middle and above it; the one far outside lies on the right border.
    assert!(coloured.iter().any(|&(x, y)| x > w / 2 && x < w * 3 / 4 && y < h / 2 && y > h / 4), "{coloured:?}");
    assert!(coloured.iter().any(|&(x, _)| x > w * 9 / 10));
    // The real ones are in the four corners.
    for (left, top) in [(true, true), (true, false), (false, true), (false, false)] {
        assert!(grey.iter().any(|&(x, y)| (x < w / 3) == left && (y < h / 3) == top && (x < w / 3 || x > 2 * w / 3)));
    }
    // Nothing to go by is no reason to fail.
    for points in [&[][..], &[1.0, 1.0], &[f32::NAN, 0.0], &[f32::MAX, f32::MIN]] {
        assert_eq!(scatter(&[], points).dimensions(), (w, h));
    }
}

#[test]
fn arrays_are_numpys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let numbers: Vec<f32> = (0..24).map(|i| i as f32 * 0.5).collect();
    arrays::write_npy(&path, &[2, 3, 4], &numbers).unwrap();
    let bytes = fs::read(&path).unwrap();
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!((npy.shape(), npy.order()), (&[2, 3, 4][..], npyz::Order::C));
    assert_eq!(npy.into_vec::<f32>().unwrap(), numbers);
}

#[test]
fn metrics_go_on_without_doubling_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let read = || fs::read_to_string(&path).unwrap();
    let mut metrics = Metrics::create(&path).unwrap();
    for step in [10, 20, 30, 40] {
        metrics.write(&json!({"step": step, "loss": {"D": 0.5}})).unwrap();
    }
    assert_eq!(read().lines().count(), 4, "every line is there at once");
    drop(metrics);
    // A crash has cut the last line off.
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\": 15, \"lo").unwrap();
    let mut metrics = Metrics::resume(&path, 20).unwrap();
    metrics.write(&json!({"step": 30, "loss": {"D": 0.25}})).unwrap();
    insta::assert_snapshot!(read(), @r#"
    {"step":10,"loss":{"D":0.5}}
    {"step":20,"loss":{"D":0.5}}
    {"step":30,"loss":{"D":0.25}}
    "#);
    // A file that is missing is started; one that is no text loses what is no line.
    fs::remove_file(&path).unwrap();
    Metrics::resume(&path, 5).unwrap().write(&json!({"step": 6})).unwrap();
    assert_eq!(read(), "{\"step\":6}\n");
    fs::write(&path, b"\xff\xfe\n{\"note\":1}\n[1]\n{\"step\":1}\n").unwrap();
    drop(Metrics::resume(&path, 5).unwrap());
    assert_eq!(read(), "{\"note\":1}\n{\"step\":1}\n");
    let folder = dir.path().join("missing/metrics.jsonl");
    assert!(matches!(Metrics::create(&folder), Err(OutputError::Io { .. })));
}

/// Text written by a view, seen from outside.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn plain_progress_is_rare_and_without_colours() {
    let out = Shared::default();
    let mut progress = Progress::plain(Box::new(out.clone()), Duration::from_secs(3600), 0, 1000, 64);
    for step in 1..=1000 {
        progress.step(step, &[("D", 0.25), ("G", 1.5)]);
    }
    progress.note("samples/step-00001000.png");
    progress.finish(1000);
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("step 1/1000  ") && lines[0].contains("D 0.2500  G 1.5000"), "{text}");
    assert!(lines[1].starts_with("step 1000/1000  ") && !lines[1].contains("left"), "{text}");
    assert_eq!(lines[2], "samples/step-00001000.png");
    assert!(lines[3].starts_with("step 1000/1000 after "), "{text}");
    assert!(!text.contains('\x1b'));
}

#[test]
fn lines_of_progress() {
    let losses = [("D", 0.7031), ("G", f32::NAN)];
    let state = |step, rate, left: Option<u64>| State {
        step,
        total: 1500,
        images_per_s: rate,
        losses: &losses,
        left: left.map(Duration::from_secs),
    };
    let mut out = String::new();
    for s in [
        state(1, None, None),
        state(100, Some(812.4), Some(75)),
        state(7, Some(3.26), Some(7320)),
        state(1500, Some(812.4), Some(0)),
    ] {
        writeln!(out, "{}", line(&s)).unwrap();
    }
    insta::assert_snapshot!(out, @r"
    step 1/1500  D 0.7031  G NaN
    step 100/1500  812 images/s  D 0.7031  G NaN  1 min 15 s left
    step 7/1500  3.3 images/s  D 0.7031  G NaN  2 h 02 min left
    step 1500/1500  812 images/s  D 0.7031  G NaN
    ");
    assert_eq!(
        [0.4, 12.3, 61.0, 3600.0].map(|s| show_time(Duration::from_secs_f64(s))),
        ["0.4 s", "12 s", "1 min 01 s", "1 h 00 min"]
    );
}

#[test]
fn run_folders_are_numbered() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("runs");
    let make = |name: &str| RunFolder::create(&root, name, "gan: x\n", "gan: x # all\n").unwrap();
    let name = |run: &RunFolder| run.path().file_name().unwrap().to_string_lossy().into_owned();
    let first = make("digits");
    assert_eq!(name(&first), "00001-digits");
    fs::create_dir(root.join("00007-other")).unwrap();
    fs::create_dir(root.join("notes")).unwrap();
    fs::create_dir(root.join("99-short")).unwrap();
    assert_eq!(name(&make("../a/b c")), "00008-..-a-b-c");
    assert_eq!(name(&make("")), "00009-run");
    assert_eq!(fs::read_to_string(first.path().join("spec.gan")).unwrap(), "gan: x\n");
    assert_eq!(fs::read_to_string(first.resolved()).unwrap(), "gan: x # all\n");
    assert!(first.samples().is_dir() && first.checkpoints().is_dir());
    let inside = |p: &Path| p.strip_prefix(first.path()).unwrap().display().to_string();
    assert_eq!(inside(&first.sample(100)), "samples/step-00000100.png");
    assert_eq!(inside(&first.metrics()), "metrics.jsonl");
    assert_eq!(RunFolder::open(first.path()).unwrap(), first);
}

#[test]
fn runs_that_start_at_once_get_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let make = || RunFolder::create(dir.path(), "x", "", "").unwrap().path().to_path_buf();
    let mut paths: Vec<_> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..8).map(|_| s.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 8);
}

#[test]
fn folders_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut out = String::new();
    let mut case = |what: &str, result: Result<RunFolder, OutputError>| {
        let message = result.unwrap_err().to_string().replace(&dir.display().to_string(), "DIR");
        writeln!(out, "---- {what}\n{message}\n").unwrap();
    };
    let file = dir.join("file");
    fs::write(&file, "hello").unwrap();
    fs::create_dir(dir.join("full")).unwrap();
    fs::write(dir.join("full/other.txt"), "hello").unwrap();
    RunFolder::at(&dir.join("run"), "gan: x\n", "gan: x\n").unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    RunFolder::at(&dir.join("empty"), "gan: x\n", "gan: x\n").unwrap();
    case("a run", RunFolder::at(&dir.join("run"), "", ""));
    case("not empty", RunFolder::at(&dir.join("full"), "", ""));
    case("a file", RunFolder::at(&file, "", ""));
    case("runs in a file", RunFolder::create(&file, "x", "", ""));
    case("nothing to resume", RunFolder::open(&dir.join("missing")));
    case("no run to resume", RunFolder::open(&dir.join("full")));
    case("a file to resume", RunFolder::open(&file));
    insta::assert_snapshot!(out);
}

#[test]
fn a_picture_of_another_kind_is_written_in_colours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    let picture = DynamicImage::new_rgb16(3, 2);
    write_png(&path, &picture).unwrap();
    assert_eq!(image::open(&path).unwrap(), DynamicImage::new_rgb8(3, 2));
}
