//! Text to tree and back: the inputs are the specs, `tests/syntax/*.gan` and, for what must fail, `tests/errors/err_*.gan`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ganc::diag::render;
use ganc::diag::{Diagnostics, Sources};
use ganc::model;
use ganc::syntax::ast::{Expr, ExprKind, Spec};
use ganc::syntax::layout::{self, Node};
use ganc::syntax::{self, dump};
use proptest::prelude::*;
use serde_yaml::Value as Yaml;

fn gan_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of inputs");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "gan"));
    files.sort();
    assert!(!files.is_empty(), "no inputs in {}", folder.display());
    files
}

fn good_files() -> Vec<PathBuf> {
    let mut files = gan_files("specs");
    files.extend(gan_files("tests/syntax"));
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

fn read(path: &Path) -> (Sources, String) {
    let text = std::fs::read_to_string(path).expect("the input");
    let mut sources = Sources::default();
    let name = path.file_name().expect("a name").to_string_lossy();
    sources.add(name, text.clone());
    (sources, text)
}

fn one(text: &str) -> Sources {
    let mut sources = Sources::default();
    sources.add("text.gan", text);
    sources
}

fn parse(text: &str) -> Result<Spec, Diagnostics> {
    syntax::parse(&one(text), Default::default())
}

fn format(text: &str) -> String {
    let sources = one(text);
    syntax::format(&sources, Default::default())
        .unwrap_or_else(|found| panic!("{}", render::text(&sources, found.items(), false)))
}

fn good(sources: &Sources) -> Spec {
    syntax::parse(sources, Default::default()).unwrap_or_else(|found| panic!("{}", render::text(sources, found.items(), false)))
}

#[test]
fn every_input_has_the_tree_of_its_snapshot() {
    for path in gan_files("tests/syntax") {
        let (sources, _) = read(&path);
        insta::assert_snapshot!(format!("ast_{}", stem(&path)), dump::dump(&good(&sources), true));
    }
}

#[test]
fn every_name_is_at_its_place() {
    let mut seen = 0;
    for path in good_files() {
        let (sources, text) = read(&path);
        let tree = dump::dump(&good(&sources), true);
        for (at, _) in tree.match_indices('@') {
            let before = tree[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
            if !before.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            let place = tree[at + 1..].split([' ', ',', ')', '(', '\n']).next().unwrap_or("");
            let (from, to) = place.split_once("..").expect("a place");
            let (from, to): (usize, usize) = (from.parse().expect("a number"), to.parse().expect("a number"));
            assert_eq!(&text[from..to], before, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 400, "names with places: {seen}");
}

/// What is wrong with a text, as the user sees it: in its syntax, or else in its meaning. No files stand behind the data.
fn check_text(sources: &Sources) -> String {
    let found = match syntax::parse(sources, Default::default()) {
        Ok(spec) => model::resolve(&spec, sources, &|_| Err("no such file or folder".into())).1,
        Err(found) => found,
    };
    render::text(sources, found.items(), false)
}

#[test]
fn every_wrong_input_has_the_messages_of_its_snapshot() {
    for path in gan_files("tests/errors") {
        let (sources, _) = read(&path);
        insta::assert_snapshot!(stem(&path), check_text(&sources));
    }
}

#[test]
fn formatting_keeps_the_tree_and_every_comment_and_is_idempotent() {
    for path in good_files() {
        let (sources, text) = read(&path);
        let formatted = format(&text);
        let again = one(&formatted);
        assert_eq!(dump::dump(&good(&sources), false), dump::dump(&good(&again), false), "{}", path.display());
        assert_eq!(format(&formatted), formatted, "{} is not at rest after one pass", path.display());
        // A `#` behind a blank, outside of a quoted value, begins a comment.
        let comments = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("about: \""));
            lines.filter_map(|line| format!(" {line}").split_once(" #").map(|(_, comment)| comment.trim().to_string())).collect()
        };
        assert_eq!(comments(&text), comments(&formatted), "{}", path.display());
    }
}

#[test]
fn specs_are_written_as_the_formatter_writes() {
    for path in gan_files("specs") {
        let (_, text) = read(&path);
        assert_eq!(format(&text), text, "{}", path.display());
    }
}

#[test]
fn unusual_layout_becomes_canonical() {
    let (_, text) = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax/odd_layout.gan"));
    insta::assert_snapshot!("fmt_odd_layout", format(&text));
}

/// Compares what YAML reads with our blocks; `at` names the place for the message.
fn same_as_yaml(sources: &Sources, yaml: &Yaml, node: &Node, at: &str) {
    match (yaml, node) {
        (Yaml::Mapping(theirs), Node::Map(ours)) => {
            assert_eq!(theirs.len(), ours.entries.len(), "keys at {at}");
            for ((key, value), entry) in theirs.iter().zip(&ours.entries) {
                let name = sources.text(entry.key);
                assert_eq!(scalar(key), folded(name), "key at {at}");
                same_as_yaml(sources, value, &entry.value, &format!("{at}/{name}"));
            }
        }
        (Yaml::Sequence(theirs), Node::Seq(ours)) => {
            assert_eq!(theirs.len(), ours.items.len(), "items at {at}");
            for (number, (value, item)) in theirs.iter().zip(&ours.items).enumerate() {
                same_as_yaml(sources, value, &item.value, &format!("{at}/{number}"));
            }
        }
        (Yaml::Sequence(theirs), Node::Scalar(span)) => {
            // A list in brackets: as many elements, with the same text, in the same order.
            let spec = parse(&format!("let:\n  list: {}\n", sources.text(*span))).expect("a list");
            let ExprKind::List(items) = &spec.lets[0].value.kind else { panic!("no list at {at}") };
            let bare = |expr: &Expr| dump::expr(expr).replace('"', "");
            let ours: Vec<String> = items.iter().map(bare).collect();
            let theirs: Vec<String> = theirs.iter().map(|value| bare(&reread(value))).collect();
            assert_eq!(theirs, ours, "list at {at}");
        }
        (_, Node::Scalar(span)) => {
            let text = sources.text(*span);
            if text.starts_with('"') {
                assert_eq!(yaml.as_str(), Some(text_of(text).as_str()), "string at {at}");
            } else if let Some(theirs) = yaml.as_f64() {
                assert_eq!(text.parse::<f64>().ok(), Some(theirs), "number at {at}");
            } else {
                assert_eq!(scalar(yaml), folded(text), "value at {at}");
            }
        }
        (_, _) => panic!("YAML reads another kind of block at {at}: {yaml:?} for {node:?}"),
    }
}

/// An element of a list of YAML, read as an expression of ours.
fn reread(value: &Yaml) -> Expr {
    match value {
        Yaml::Sequence(items) => {
            let span = Default::default();
            Expr { kind: ExprKind::List(items.iter().map(reread).collect()), span }
        }
        other => match parse(&format!("let:\n  x: {}\n", scalar(other))) {
            Ok(spec) => spec.lets[0].value.clone(),
            // What YAML has taken out of its quotes.
            Err(_) => Expr { kind: ExprKind::Text(scalar(other)), span: Default::default() },
        },
    }
}

fn text_of(string: &str) -> String {
    let spec = parse(&format!("let:\n  x: {string}\n")).expect("a string");
    match &spec.lets[0].value.kind {
        ExprKind::Text(text) => text.clone(),
        other => panic!("no string: {other:?}"),
    }
}

fn scalar(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        other => panic!("no scalar: {other:?}"),
    }
}

fn folded(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn keeps_the_promise(text: &str, name: &str) {
    let sources = one(text);
    let ours = layout::layout(&sources, Default::default()).expect("blocks");
    let theirs: Yaml = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{name} is no YAML: {error}\n{text}"));
    same_as_yaml(&sources, &theirs, &ours, name);
}

#[test]
fn every_spec_is_the_same_tree_to_yaml() {
    for path in gan_files("specs") {
        let (_, text) = read(&path);
        keeps_the_promise(&text, &stem(&path));
    }
    for path in good_files() {
        let (_, text) = read(&path);
        keeps_the_promise(&format(&text), &stem(&path));
    }
}

const BASE: &str = "\
let:
  f: 64
  fmaps(r): 512/r
data:
  x, y: digits(size=32)
noise:
  z: normal(2)
nets:
  G(z) -> x: dense(2)
  D(x) -> 1: dense(1)
terms:
  a, b: D(x)
game:
  min G max D: E[log(D(x))]
train:
  steps: 10
  turns: {D: 5, G: 1}
  lr: 3
";

fn overridden(texts: &[&str]) -> (Sources, Result<Spec, Diagnostics>) {
    let mut sources = one(BASE);
    let mut spec = good(&sources);
    for text in texts {
        if let Err(found) = syntax::apply_override(&mut spec, &mut sources, text) {
            return (sources, Err(found));
        }
    }
    (sources, Ok(spec))
}

#[test]
fn overrides_change_one_place() {
    let cases: &[&[&str]] = &[
        &["let.f=32"],
        &["let.fmaps=r", "let.fmaps(s)=s"],
        &["data.x=mnist(\"my #1: dir\", size=32)"],
        &["data.x, y = mnist(\"dir\")", "data.y=ring()"],
        &["noise.z=normal(64)", "terms.b=2"],
        &["train.steps=100", "train.turns.D = 3", "train.new=1", "train.grow.start=8"],
        &["train.turns={D: 1}", "sample.truncation=0.7", "sample={nets: [G]}"],
        &["game.min D=-E[D(x)]"],
        &["game.min D=E[D(x)]", "game.min G=-E[D(G(z))]", "game.max D=1"],
        &["game={min D: E[D(x)], min G: -E[D(G(z))]}"],
        &["gan=other", "about=one line: of text"],
        &["nets.G=dense(8) | relu"],
    ];
    let mut out = String::new();
    for case in cases {
        let (sources, result) = overridden(case);
        let spec = result.unwrap_or_else(|found| panic!("{case:?}: {}", render::text(&sources, found.items(), false)));
        let (before, after) = (dump::dump(&good(&one(BASE)), false), dump::dump(&spec, false));
        out.push_str(&format!("--set {}\n", case.join(" --set ")));
        for line in before.lines().filter(|line| !after.lines().any(|other| other == *line)) {
            out.push_str(&format!("  - {line}\n"));
        }
        for line in after.lines().filter(|line| !before.lines().any(|other| other == *line)) {
            out.push_str(&format!("  + {line}\n"));
        }
    }
    insta::assert_snapshot!("overrides", out);
}

#[test]
fn wrong_overrides_point_into_their_own_text() {
    let cases = [
        "let.f",
        "let.f:32",
        "=3",
        "let.f=",
        "let.=3",
        "let.ff=3",
        "lte.f=3",
        "data.q=ring()",
        "train.lr.x=3",
        "train..x=3",
        "let.f=(3",
        "game.min Q=1",
        "game.D=1",
        "game=3",
        "gan.x=3",
        "let.f=conv(3) | relu",
        "nets.X=dense(2)",
        "nets.G(z) -> x=dense(2)",
        "train.batch=6m",
    ];
    let mut out = String::new();
    for case in cases {
        let (sources, result) = overridden(&[case]);
        let found = result.expect_err(case);
        assert!(found.items().iter().filter_map(|d| d.span).all(|span| span.file.0 == 1), "{case} points elsewhere");
        out.push_str(&render::text(&sources, found.items(), false));
        out.push('\n');
    }
    insta::assert_snapshot!("wrong_overrides", out);
}

#[test]
fn a_refused_override_leaves_the_spec_alone() {
    let mut sources = one(BASE);
    let mut spec = good(&sources);
    syntax::apply_override(&mut spec, &mut sources, "train.grow.start=(8").expect_err("an open bracket");
    assert_eq!(spec, good(&one(BASE)));
}

#[test]
fn operators_bind_as_in_the_textbook() {
    let read = |text: &str| dump::expr(&parse(&format!("let:\n  x: {text}\n")).expect(text).lets[0].value);
    assert_eq!(read("1 + 2*3 - 4/5/6"), "((1 + (2*3)) - ((4/5)/6))");
    assert_eq!(read("2^3^4"), "(2^(3^4))");
    assert_eq!(read("-x^2"), "(-(x^2))");
    assert_eq!(read("2^-x^2"), "(2^(-(x^2)))");
    assert_eq!(read("a*-b"), "(a*(-b))");
    assert_eq!(read("--a - -b"), "((-(-a)) - (-b))");
    assert_eq!(read("600k + 6M + 2e-4"), "((600000 + 6000000) + 0.0002)");
    assert_eq!(read("E[ x ] * E(1)".replace("E(1)", "E1(1)").as_str()), "(E[x]*E1(1))");
    assert_eq!(read("true_x + Ex"), "(true_x + Ex)");
}

#[test]
fn every_code_that_the_sources_mention_has_a_page() {
    let mut codes = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            for (at, _) in text.match_indices('"') {
                let word = text.get(at + 1..at + 7).unwrap_or("");
                let digits = word.get(1..5).is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
                if digits && word.starts_with(['E', 'W']) && word.ends_with('"') {
                    codes.push(word[..5].to_string());
                }
            }
        }
    }
    assert!(codes.len() > 30, "codes in the sources: {}", codes.len());
    for code in codes {
        let page = ganc::diag::explain::page(&code).unwrap_or_else(|| panic!("{code} has no page"));
        assert!(page.text.contains("Wrong") && page.text.contains("Right"), "{code} has no examples");
    }
}

#[test]
fn pages_are_in_order_and_unique() {
    let codes: Vec<_> = ganc::diag::explain::all().map(|page| page.code).collect();
    let mut unique = codes.clone();
    unique.dedup();
    assert_eq!(codes, unique);
    assert!(ganc::diag::explain::page("e0101").is_some() && ganc::diag::explain::page("E9999").is_none());
}

#[test]
fn json_has_places_from_one() {
    let sources = one("let:\n  é: .5\n");
    let found = syntax::parse(&sources, Default::default()).expect_err("two errors");
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&render::json(&sources, found.items())).expect("JSON"));
}

#[test]
fn sizes_and_depths_are_bounded() {
    let code = |text: String| parse(&text).expect_err("too much").items()[0].code;
    let value = |text: String| code(format!("let:\n  x: {text}\n"));
    assert_eq!(code(" ".repeat((1 << 20) + 1)), "E0105");
    assert_eq!(value("(".repeat(100_000)), "E0105");
    assert_eq!(value(format!("{}1{}", "(".repeat(65), ")".repeat(65))), "E0105");
    assert_eq!(value("-".repeat(100_000) + "1"), "E0105");
    assert_eq!(value("1".to_string() + &"+1".repeat(100_000)), "E0105");
    assert_eq!(value("1".to_string() + &"^1".repeat(100_000)), "E0105");
    let deep: String = (0..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(parse(&deep[..1_000_000]).expect_err("too deep").items().iter().any(|d| d.code == "E0105"));
    let deep = format!("train:\n  x: {}1{}\n", "{a: ".repeat(1000), "}".repeat(1000));
    assert_eq!(code(deep), "E0105");
    let dashes = parse(&format!("nets:\n  G(z) -> x:\n    {}relu\n", "- ".repeat(100))).expect_err("too deep");
    assert!(dashes.items().iter().any(|d| d.code == "E0105"));
    assert!(parse(&format!("let:\n  x: {}1{}\n", "(".repeat(64), ")".repeat(64))).is_ok());
}

#[test]
fn hostile_texts_are_refused_fast() {
    let texts = [
        "\"\\".repeat(100_000),
        "[".repeat(500_000),
        "{a: ".repeat(100_000),
        "a:\n".repeat(100_000),
        "- ".repeat(100_000),
        "x\n".repeat(200_000),
        format!("let:\n  x: {}", "f(".repeat(60) + &"1,".repeat(200_000)),
        format!("let:\n  x: 1{}# c\n", " ".repeat(900_000)),
        format!("train:\n  x: {}", "{a: ".repeat(60) + &"1, b: ".repeat(50_000)),
    ];
    for text in texts {
        let start = Instant::now();
        let found = parse(&text);
        if let Err(found) = found {
            render::text(&one(&text), found.items(), false);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?} for {:?}...", start.elapsed(), &text[..20]);
    }
}

/// Every property of any text: no panic, bounded time; and what parses, formats to a text that means the same to us and to YAML.
fn holds_for_any(text: &str) {
    let start = Instant::now();
    let sources = one(text);
    let parsed = syntax::parse(&sources, Default::default());
    let formatted = syntax::format(&sources, Default::default());
    match (&parsed, formatted) {
        (Ok(spec), Ok(formatted)) => {
            let again = parse(&formatted);
            let again =
                again.unwrap_or_else(|found| panic!("{formatted}\n{}", render::text(&one(&formatted), found.items(), false)));
            assert_eq!(dump::dump(spec, false), dump::dump(&again, false), "{text}\n---\n{formatted}");
            assert_eq!(format(&formatted), formatted, "{text}");
            keeps_the_promise(&formatted, "formatted");
            // Braces and lists with calls inside are where YAML reads an unformatted text differently.
            let listed =
                text.lines().any(|line| line.trim_start().starts_with('[') || line.contains(": [") || line.contains("- ["));
            if !text.contains('{') && !listed {
                keeps_the_promise(text, "as written");
            }
        }
        (Err(found), Err(again)) => {
            assert_eq!(found.items(), again.items());
            assert!(found.has_errors());
            assert!(!render::text(&sources, found.items(), true).is_empty());
            assert!(render::json(&sources, found.items()).is_array());
        }
        (parsed, formatted) => panic!("parse {parsed:?} but format {formatted:?}"),
    }
    assert!(start.elapsed() < Duration::from_secs(2), "slow: {:?}", start.elapsed());
}

/// A good spec with some places replaced by pieces that mean something to the parser.
fn mutated() -> impl Strategy<Value = String> {
    const PIECES: [&str; 40] = [
        "", " ", "\n", "\t", "\r\n", ":", ": ", "- ", "-", "#", " # c", "\"", "'", "(", ")", "[", "]", "{", "}", ",", "|", "=",
        "->", "+", "^", "*", "/", "E[", " as ", "for ", " in ", "min ", "1e9", "6M", ".5", "é", "\u{0}", "\u{feff}", "  ",
        "\n    ",
    ];
    let texts: Vec<String> = good_files().iter().map(|path| read(path).1).collect();
    let edit = (any::<prop::sample::Index>(), 0..6usize, prop::sample::select(PIECES.to_vec()));
    (prop::sample::select(texts), prop::collection::vec(edit, 1..6)).prop_map(|(mut text, edits)| {
        for (at, width, piece) in edits {
            let boundary = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let start = boundary(at.index(text.len() + 1));
            let end = boundary((start + width).min(text.len())).max(start);
            text.replace_range(start..end, piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_mutated_spec_is_read_or_refused(text in mutated()) {
        holds_for_any(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        holds_for_any(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_override_is_read_or_refused(text in "(let|data|game|train|nets|gan|sample)?[.]?[a-zA-Z ,.(){}\\[\\]=:\"0-9|+*^-]{0,40}") {
        let mut sources = one(BASE);
        let mut spec = good(&sources);
        if let Err(found) = syntax::apply_override(&mut spec, &mut sources, &text) {
            prop_assert!(found.has_errors());
            prop_assert!(!render::text(&sources, found.items(), false).is_empty());
        }
    }
}
