//! Trees to models, models to programs: the inputs are the specs and `tests/model/*.gan`.

use ganc::build::{Program, build};
use ganc::diag::{Sources, render};
use ganc::graph::{Graph, Source, verify};
use ganc::model::{self, DataSource, Model, StreamInfo};
use ganc::{eval, grad, opt, syntax};
use std::path::{Path, PathBuf};

fn inputs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = ["specs", "tests/model"]
        .iter()
        .flat_map(|f| std::fs::read_dir(root.join(f)).expect("a folder of inputs"))
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "gan"))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Data folders of the specs, as if they were there: 10,000 samples, 10 classes.
fn probe(source: &DataSource) -> Result<StreamInfo, String> {
    let mut info = source.known().0;
    info.len = Some(10_000);
    info.columns.push(model::Column::Class(10));
    Ok(info)
}

fn resolve(text: &str) -> (Option<Model>, String) {
    let mut sources = Sources::default();
    let file = sources.add("test.gan", text);
    let spec = match syntax::parse(&sources, file) {
        Ok(spec) => spec,
        Err(found) => return (None, render::text(&sources, found.items(), false)),
    };
    let (model, found) = model::resolve(&spec, &sources, &probe);
    (model, render::text(&sources, found.items(), false))
}

fn good(text: &str) -> Model {
    let (model, messages) = resolve(text);
    model.unwrap_or_else(|| panic!("{messages}"))
}

#[test]
fn models_have_the_text_of_their_snapshot() {
    for path in inputs() {
        let text = std::fs::read_to_string(&path).expect("the input");
        let (model, messages) = resolve(&text);
        let model = model.map_or(String::new(), |m| m.to_string());
        insta::assert_snapshot!(format!("model_{}", stem(&path)), format!("{messages}{model}"));
    }
}

fn each_graph(program: &Program) -> Vec<(String, &Graph)> {
    let phases = program.phases.iter().map(|p| (p.name.clone(), &p.graph));
    phases.chain(program.samplers.iter().map(|s| (s.name.clone(), &s.graph))).collect()
}

#[test]
fn programs_verify_before_and_after_differentiation() {
    for path in inputs() {
        let text = std::fs::read_to_string(&path).expect("the input");
        let Some(model) = resolve(&text).0 else { continue };
        let program = build(&model, 2);
        for (name, graph) in each_graph(&program) {
            verify::assert_valid(graph, verify::Stage::Built, &name);
            let expanded = grad::expand(&opt::before_grad(graph));
            verify::assert_valid(&opt::after_grad(&expanded), verify::Stage::Differentiated, &name);
        }
    }
}

/// A spec whose only interesting part is the net `F`, from `v` of the given shape; its body is one line.
fn one_net(shape: &str, body: &str) -> Model {
    good(&format!(
        "gan: small\n\ndata:\n  x: ring()\n\nnets:\n  F(v[{shape}]) -> out: {body}\n  G(x) -> x: dense(2)\n\n\
         game:\n  min G: E[G(x)]\n\ntrain:\n  steps: 1\n  optimizer: adam(1)\n"
    ))
}

/// The result of `F` on one sample, with the shape PyTorch would give it (channels first); weights from `weight`.
fn run_net(shape: &str, body: &str, input: &[f64], weight: impl Fn(&str, usize) -> f64) -> Vec<f64> {
    let model = one_net(shape, body);
    let program = build(&model, 1);
    let sampler = program.sampler("F").expect("the graph of F");
    let sizes: Vec<usize> = shape.split(", ").map(|s| s.parse().expect("a size")).collect();
    let results = eval::outputs(&sampler.graph, |source| match source {
        Source::Feed(f) => {
            assert_eq!(program.feeds[f.index()].name, "F.v");
            channels_last(input, &sizes)
        }
        Source::State(s) => {
            let state = &program.states[s.index()];
            (0..state.shape.iter().product()).map(|i| weight(&state.name, i)).collect()
        }
        Source::Scalar(_) => unreachable!("inference needs no scalars"),
    });
    let sizes = &sampler.layouts[0].shape[1..];
    channels_first(&results[0], sizes)
}

/// Moves the channels of `[C, H, W]` behind the others; other ranks stay.
fn channels_last(x: &[f64], sizes: &[usize]) -> Vec<f64> {
    let &[c, h, w] = sizes else { return x.to_vec() };
    (0..h * w * c).map(|i| x[(i % c) * h * w + i / c]).collect()
}

fn channels_first(x: &[f64], sizes: &[usize]) -> Vec<f64> {
    let &[c, h, w] = sizes else { return x.to_vec() };
    (0..h * w * c).map(|i| x[(i % (h * w)) * c + i / (h * w)]).collect()
}

fn count(n: usize) -> Vec<f64> {
    (0..n).map(|i| i as f64).collect()
}

#[track_caller]
fn close(found: &[f64], want: &[f64]) {
    assert_eq!(found.len(), want.len(), "{found:?}");
    for (i, (a, b)) in found.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "element {i}: {a}, not {b}, in {found:?}");
    }
}

#[test]
fn reshape_and_flatten_keep_the_order_of_pytorch() {
    // [2, 2, 3] holds 0..12 channels first; flattening must give 0..12 again.
    close(&run_net("2, 2, 3", "flatten", &count(12), |_, _| 0.0), &count(12));
    close(&run_net("2, 2, 3", "reshape(3, 2, 2)", &count(12), |_, _| 0.0), &count(12));
    close(&run_net("2, 2, 3", "reshape(4, 3) | reshape(1, 3, 4) | flatten", &count(12), |_, _| 0.0), &count(12));
}

#[test]
fn pooling_follows_pytorch() {
    let image = [1.0, 5.0, 2.0, -1.0, 4.0, 3.0, 0.0, 7.0, -3.0, -2.0, -9.0, -4.0, -5.0, -6.0, -8.0, -7.0];
    close(&run_net("1, 4, 4", "max_pool(2)", &image, |_, _| 0.0), &[5.0, 7.0, -2.0, -4.0]);
    // The border never wins, although everything near it is negative.
    close(&run_net("1, 4, 4", "max_pool(2, pad=1)", &image, |_, _| 0.0), &[1.0, 5.0, -1.0, 4.0, 3.0, 7.0, -5.0, -6.0, -7.0]);
    close(&run_net("1, 4, 4", "avg_pool(2)", &image, |_, _| 0.0), &[3.25, 2.0, -4.0, -7.0]);
    // count_include_pad: zeros of the border count.
    close(
        &run_net("1, 4, 4", "avg_pool(2, pad=1)", &image, |_, _| 0.0),
        &[0.25, 1.75, -0.25, 0.25, -0.5, 0.75, -1.25, -3.5, -1.75],
    );
    close(&run_net("1, 4, 4", "avg_pool(3, stride=1)", &image, |_, _| 0.0), &[1.0 / 9.0, -1.0 / 9.0, -26.0 / 9.0, -21.0 / 9.0]);
    close(&run_net("2, 2, 2", "global_avg_pool", &count(8), |_, _| 0.0), &[1.5, 5.5]);
}

#[test]
fn upsampling_follows_pytorch() {
    close(
        &run_net("2, 1, 2", "upsample(2)", &[1.0, 2.0, 3.0, 4.0], |_, _| 0.0),
        &[1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0],
    );
    // torch.nn.Upsample(scale_factor=2, mode="bilinear") of [[1, 2], [3, 4]], from its documentation.
    close(
        &run_net("1, 2, 2", "upsample(2, mode=bilinear)", &[1.0, 2.0, 3.0, 4.0], |_, _| 0.0),
        &[1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0],
    );
}

#[test]
fn a_convolution_over_the_whole_image_is_the_same_by_product() {
    // Both nets compute sum(x*w) per output; the first as a product, the second as a convolution of a padded image's middle.
    let weight = |name: &str, i: usize| if name.ends_with("weight") { (i as f64 * 0.37).sin() } else { 0.5 };
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 0.9).cos()).collect();
    let whole = run_net("3, 2, 2", "conv(2, 2)", &x, weight);
    let padded = run_net("3, 2, 2", "conv(2, 2, pad=1)", &x, weight);
    close(&whole, &[padded[4], padded[13]]);
}

#[test]
fn a_transposed_convolution_of_a_pixel_is_the_same_by_product() {
    let weight = |name: &str, i: usize| if name.ends_with("weight") { (i as f64 * 0.37).sin() } else { 0.5 };
    let x = [0.3, -1.2, 0.7];
    let product = run_net("3, 1, 1", "conv_t(2, 3)", &x, weight);
    // The stride of a single pixel means nothing; out_pad makes the layer a convolution with one more row and column.
    let general = run_net("3, 1, 1", "conv_t(2, 3, stride=2, out_pad=1)", &x, weight);
    let inner: Vec<f64> =
        (0..2).flat_map(|c| (0..3).flat_map(move |h| (0..3).map(move |w| c * 16 + h * 4 + w))).map(|i| general[i]).collect();
    close(&product, &inner);
}

#[test]
fn activations_have_the_values_of_pytorch() {
    let x = [-2.0, -0.5, 0.0, 1.5];
    let run = |body: &str| run_net("4", body, &x, |_, _| 0.25);
    close(&run("leaky_relu"), &[-0.02, -0.005, 0.0, 1.5]);
    close(&run("elu"), &[(-2f64).exp() - 1.0, (-0.5f64).exp() - 1.0, 0.0, 1.5]);
    // torch.nn.GELU and GELU(approximate="tanh").
    close(&run("gelu"), &[-0.0455002639, -0.1542687694, 0.0, 1.3997892].map(|v: f64| v));
    close(&run("gelu(approximate=tanh)"), &[-0.0454023059, -0.1542859910, 0.0, 1.3995715].map(|v: f64| v));
    close(&run("silu"), &[-0.2384058440, -0.1887703344, 0.0, 1.2263617142]);
    close(&run("softplus"), &[0.1269280110, 0.4740769842, 0.6931471806, 1.7014132779]);
    close(&run("prelu"), &[-0.5, -0.125, 0.0, 1.5]);
}
