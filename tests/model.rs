//! Trees to models, models to programs: the inputs are the specs and `tests/model/*.gan`.

use ganc::build::{Program, build};
use ganc::diag::{Sources, render};
use ganc::graph::verify;
use ganc::model::{self, DataSource, Model, StreamInfo};
use ganc::{grad, opt, syntax};
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

fn each_graph(program: &Program) -> Vec<(String, &ganc::graph::Graph)> {
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
