//! Plans of specs: what a spec may ask of them, and what is said about them.

use ganc::codegen::Host;
use ganc::graph::{Builder, Conv, FeedId, Op, Role, Sink, Source, StateId, Unary, Value};
use ganc::model::Model;
use ganc::runtime::Memory;
use ganc::schedule::ends::Reason;
use ganc::schedule::work::Group;
use ganc::schedule::{self, Buffer, BufferId, Home, Kind, Plan, Target, text};
use ganc::train::{Options, Sampling, Session};
use ganc::{driver, opt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The model of a built-in spec with some settings.
fn model(name: &str, settings: &[&str]) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(format!("{name}.gan"));
    let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
    let checked = driver::check(driver::read(&path).expect("the spec"), &settings);
    checked.model.unwrap_or_else(|| panic!("{name}: {:?}", checked.findings.items()))
}

/// Kernels of Winograd's minimal filtering.
fn filterings(plan: &Plan) -> usize {
    let is_one = |kind: &Kind| match kind {
        Kind::Winograd(..) | Kind::Transform(_) => true,
        Kind::Nest(..) | Kind::Border(_) | Kind::Pack(_) | Kind::Tiles(..) | Kind::Narrow(..) | Kind::Thin(_) => false,
    };
    plan.kernels.iter().filter(|k| is_one(&k.kind)).count()
}

const EXACT: &str = "train.exact_conv=true";

#[test]
fn exact_convolutions_are_computed_directly() {
    let host = Host::native().expect("this machine is supported");
    let options = Options { threads: 1, seed: 1, keep_gradients: false };
    for exact in [false, true] {
        let settings = if exact { &[EXACT][..] } else { &[] };
        let program = driver::program(&model("dcgan", settings), Some(2));
        let names: Vec<String> = program.samplers.iter().map(|s| s.name.clone()).collect();
        let memory = Memory::new(&program);
        let samplers = names.iter().map(|n| Sampling::bind(&program, &memory, &host, n).expect("it compiles"));
        let mut found: Vec<usize> = samplers.map(|s| filterings(s.expect("a sampler").plan())).collect();
        let session = Session::new(program, &host, options).expect("it compiles");
        found.extend(session.phases().iter().map(|p| filterings(p.plan())));
        let wanted = host.target().winograd && !exact;
        assert!(found.len() >= 4 && found.iter().all(|&n| (n > 0) == wanted), "exact: {exact}, {names:?}, phases: {found:?}");
    }
}

/// Runs `ganc` in `folder`; gives stdout.
fn ganc(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ganc")).args(args).current_dir(folder).env_remove("GANC_CPU").output();
    let output = output.expect("ganc starts");
    assert!(output.status.success(), "ganc {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn exact_convolutions_reach_every_command() {
    let winograd = Host::native().expect("this machine is supported").target().winograd;
    let folder = tempfile::tempdir().expect("a folder");
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/dcgan.gan");
    std::fs::copy(spec, folder.path().join("dcgan.gan")).expect("a copy");
    let small = ["--set", "train.batch=2", "--set", "train.steps=1"];
    ganc(folder.path(), &[&["run", "dcgan.gan", "--out", "r"], &small[..]].concat());
    let z: Vec<f32> = (0..200).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    let feed = [("z".to_string(), vec![2, 100], z)];
    ganc::train::checkpoint::write(&folder.path().join("z.safetensors"), &feed, &Default::default()).expect("it is written");
    let [plain, exact] = [&[][..], &["--set", EXACT]].map(|more| {
        let plan = ganc(folder.path(), &[&["compile", "dcgan.gan", "--emit", "plan"], more].concat());
        let call = ["call", "r", "G", "--feed", "z.safetensors", "-o", "x.safetensors"];
        ganc(folder.path(), &[&call, more].concat());
        let (found, _) = ganc::train::checkpoint::read(&folder.path().join("x.safetensors")).expect("the results");
        (plan.contains("winograd"), found["x"].1.clone())
    });
    assert_eq!((plain.0, exact.0), (winograd, false));
    // Other roundings, the same numbers.
    assert_eq!(plain.1 != exact.1, winograd);
    let apart = plain.1.iter().zip(&exact.1).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(apart < 1e-4, "{apart:e}");
}

/// As wide as the AVX2 micro-kernel, on any machine.
const TARGET: Target = Target { columns: 16, across: 1, rows: 6, winograd: true };
/// As the portable one.
const PORTABLE: Target = Target { columns: 8, across: 1, rows: 4, winograd: false };

/// The names of the built-in specs.
fn specs() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
    let files = std::fs::read_dir(folder).expect("the specs").map(|e| e.expect("an entry").path());
    let specs = files.filter(|p| p.extension().is_some_and(|e| e == "gan"));
    specs.filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned())).collect()
}

#[test]
fn every_kernel_of_every_spec_says_why_it_ends() {
    let mut seen = BTreeSet::new();
    for spec in specs() {
        let program = driver::program(&model(&spec, &[]), Some(4));
        let phases = program.phases.iter().map(|p| opt::without_gradients(&p.graph));
        for graph in phases.chain(program.samplers.iter().map(|s| s.graph.clone())) {
            for target in [TARGET, PORTABLE] {
                let plan = schedule::plan_of(&program, &graph, target);
                let printed = text::print(&plan);
                let (first, rest) = printed.split_once('\n').expect("lines");
                assert_eq!(first.split(' ').nth(3), Some(plan.kernels.len().to_string().as_str()), "{first}");
                let (zeros, lines): (Vec<&str>, Vec<&str>) = rest.lines().partition(|l| l.starts_with("zeros "));
                assert_eq!(zeros.len(), plan.borders.len(), "{spec}");
                for (i, k) in plan.kernels.iter().enumerate() {
                    let (heading, details) = (lines[2 * i], lines[2 * i + 1]);
                    assert!(!k.ends.is_empty(), "{spec}: {heading}");
                    assert!(heading.starts_with("stage ") && heading.ends_with(&text::heading(&plan, k)), "{heading}");
                    assert!(details.starts_with("          ") && details.contains(" written; "), "{details}");
                    assert!(k.work(target.columns).moved() > 0, "{spec}: {heading}");
                    seen.extend(k.ends.iter().cloned());
                }
            }
        }
    }
    for reason in [
        Reason::Result,
        Reason::Update,
        Reason::Product,
        Reason::Packed,
        Reason::Placed,
        Reason::Copied,
        Reason::Gathered,
        Reason::Partial,
        Reason::Axes,
        Reason::Domain,
        Reason::Reshaped,
        Reason::Between,
        Reason::Elsewhere,
        Reason::FilterGradient,
        Reason::Columns,
    ] {
        assert!(seen.contains(&reason), "{reason:?} is not in {seen:?}");
    }
}

/// The plan of a graph whose outputs are what `build` gives, all of them results.
fn planned(build: impl FnOnce(&mut Builder) -> Vec<Value>) -> Plan {
    let mut b = Builder::new();
    for (i, v) in build(&mut b).into_iter().enumerate() {
        b.output(format!("y{i}"), v, Sink::Result);
    }
    schedule::plan(&b.finish(), TARGET)
}

/// Why the kernels of a kind end in that plan, kernel by kernel.
fn ends(group: Group, build: impl FnOnce(&mut Builder) -> Vec<Value>) -> Vec<Vec<Reason>> {
    planned(build).kernels.into_iter().filter(|k| k.group() == group).map(|k| k.ends).collect()
}

fn feed(b: &mut Builder, i: u32, shape: &[usize]) -> Value {
    b.input(Source::Feed(FeedId(i)), shape)
}

fn tanh(b: &mut Builder, v: Value) -> Value {
    b.unary(Unary::Tanh, v)
}

/// `[8, 12]` times `[12, 16]`.
fn product(b: &mut Builder) -> Value {
    let (x, w) = (feed(b, 0, &[8, 12]), feed(b, 1, &[12, 16]));
    b.dot(x, w, false, false)
}

#[test]
fn products_end_where_what_follows_cannot_run_in_cache() {
    let behind = |b: &mut Builder| {
        let y = product(b);
        vec![tanh(b, y)]
    };
    assert_eq!(ends(Group::Product, behind), [[Reason::Result]]);
    assert_eq!(ends(Group::Pack, behind), [[Reason::Product]]);
    assert!(ends(Group::Nest, behind).is_empty());
    let reduced = |b: &mut Builder| {
        let y = product(b);
        vec![tanh(b, y), b.sum(y, &[0])]
    };
    // The function is fused with the sum before products are looked at.
    assert_eq!(ends(Group::Product, reduced), [[Reason::Reduces(vec![0])]]);
    // A reader with other rows, and two products for one reader.
    let rows = |b: &mut Builder| {
        let y = product(b);
        let y = b.reshape(y, &[4, 32]);
        vec![tanh(b, y)]
    };
    assert_eq!(ends(Group::Product, rows), [[Reason::Columns]]);
    let two = |b: &mut Builder| {
        let (x, w) = (feed(b, 2, &[8, 12]), feed(b, 3, &[12, 16]));
        let (p, q) = (product(b), b.dot(x, w, false, false));
        let y = b.mul(p, q);
        vec![tanh(b, y)]
    };
    assert_eq!(ends(Group::Product, two), [[Reason::Elsewhere], [Reason::Result]]);
    let batch = |b: &mut Builder| {
        let (x, w) = (feed(b, 0, &[3, 8, 12]), feed(b, 1, &[3, 12, 16]));
        let y = b.dot(x, w, false, false);
        vec![tanh(b, y)]
    };
    assert_eq!(ends(Group::Product, batch), [[Reason::Batch]]);
    let filter = |b: &mut Builder| {
        let (big, small) = (feed(b, 0, &[2, 6, 6, 3]), feed(b, 1, &[2, 4, 4, 5]));
        let c = Conv { role: Role::FilterGrad, kernel: [3; 2], stride: [1; 2], pad: [0; 2], big: [6; 2], small: [4; 2] };
        let y = b.push(Op::Conv(c), &[big, small]);
        vec![tanh(b, y)]
    };
    assert_eq!(ends(Group::Direct, filter), [[Reason::FilterGradient]]);
}

#[test]
fn operands_and_images_end_where_they_are_read() {
    let operands = |b: &mut Builder| {
        let (x, w) = (feed(b, 0, &[8, 12]), feed(b, 1, &[12, 16]));
        let (x, w) = (tanh(b, x), tanh(b, w));
        vec![b.dot(x, w, false, false)]
    };
    assert_eq!(ends(Group::Nest, operands), [[Reason::Product], [Reason::Packed]]);
    let image = |of: fn(&mut Builder, Value) -> Value| {
        move |b: &mut Builder| {
            let (x, w) = (feed(b, 0, &[2, 6, 6, 3]), feed(b, 1, &[3, 3, 3, 5]));
            let x = of(b, x);
            vec![b.conv(x, w, [1; 2], [1; 2], [6; 2])]
        }
    };
    // A function is written into the padded image, what is given is copied there.
    assert_eq!(ends(Group::Nest, image(tanh)), [[Reason::Placed]]);
    assert_eq!(ends(Group::Nest, image(|_, x| x)), [[Reason::Product]]);
    let spread = |b: &mut Builder| {
        let x = feed(b, 0, &[8, 12]);
        let x = tanh(b, x);
        let x = b.pad(x, &[1, 1], &[2, 1], &[17, 14]);
        vec![tanh(b, x)]
    };
    assert_eq!(ends(Group::Border, spread), [[Reason::Gathered]]);
    let wide = |b: &mut Builder| {
        let x = feed(b, 0, &[8, 12]);
        let x = b.sum(x, &[1]);
        let x = b.pad(x, &[1, 1], &[1, 1], &[10, 3]);
        vec![tanh(b, x)]
    };
    assert_eq!(ends(Group::Nest, wide), [[Reason::Copied], [Reason::Gathered], [Reason::Result]]);
}

/// The first and the last stage of each buffer that a kernel of `plan` uses; what lasting kernels leave to others is in use throughout.
fn lives(plan: &Plan) -> BTreeMap<BufferId, (usize, usize)> {
    let mut lives = BTreeMap::new();
    for (i, k) in plan.kernels.iter().enumerate() {
        for &b in k.reads.iter().chain(&k.writes) {
            let reads_later = |k: &schedule::Kernel| k.reads.contains(&b);
            let lasts = i < plan.lasting && plan.kernels[plan.lasting..].iter().any(reads_later);
            let (first, last) = if lasts { (0, usize::MAX) } else { (k.stage, k.stage) };
            let life = lives.entry(b).or_insert((first, last));
            *life = (life.0.min(first), life.1.max(last));
        }
    }
    lives
}

#[test]
fn no_buffer_lies_where_another_is_in_use_or_keeps_its_zeros() {
    let (mut shared, mut kept) = (0, 0);
    for spec in specs() {
        let program = driver::program(&model(&spec, &[]), Some(4));
        let phases = program.phases.iter().map(|p| opt::without_gradients(&p.graph));
        for graph in phases.chain(program.samplers.iter().map(|s| s.graph.clone())) {
            let plan = schedule::plan_of(&program, &graph, TARGET);
            let zeros = |b: BufferId| plan.borders.iter().find(|z| z.buffer == b).map(|z| (&z.shape, &z.low, &z.inner));
            let placed: Vec<_> = lives(&plan)
                .into_iter()
                .filter_map(|(b, life)| {
                    let Buffer { len, home } = plan.buffers[b.index()];
                    if let Home::Arena(at) = home { Some((at..at + len, life, zeros(b))) } else { None }
                })
                .collect();
            for (i, (place, life, zeros)) in placed.iter().enumerate() {
                assert!(place.end <= plan.arena, "{spec}");
                for (other, when, others) in &placed[..i] {
                    if place.start < other.end && other.start < place.end {
                        assert!(life.1 < when.0 || when.1 < life.0, "{spec}: {place:?} in {life:?}, {other:?} in {when:?}");
                        assert_eq!(zeros, others, "{spec}: {place:?}, {other:?}");
                        assert!(zeros.is_none() || place == other, "{spec}: {place:?}, {other:?}");
                        *if zeros.is_some() { &mut kept } else { &mut shared } += 1;
                    }
                }
            }
        }
    }
    assert!(shared > 1000 && kept > 100, "{shared}, {kept}");
}

/// Copies that lie side by side wait for what they copy and not for each other.
#[test]
fn parts_of_a_concatenation_are_copied_in_one_stage() {
    let plan = planned(|b| {
        let parts = [2, 3, 4].map(|n| feed(b, n as u32, &[8, n]));
        let all = b.concat(1, &parts);
        vec![tanh(b, all)]
    });
    let stages: Vec<usize> = plan.kernels.iter().map(|k| k.stage).collect();
    assert_eq!(stages, [0, 0, 0, 1]);
}

#[test]
fn loops_end_where_their_readers_cannot_join() {
    let share = |b: &mut Builder| {
        let x = feed(b, 0, &[64, 64]);
        let s = b.sum(x, &[1]);
        let s = b.broadcast(s, &[64, 64]);
        vec![b.div(x, s)]
    };
    assert_eq!(ends(Group::Nest, share), [[Reason::Reduction(vec![1])], [Reason::Result]]);
    let large = |b: &mut Builder| {
        let x = feed(b, 0, &[1 << 16]);
        vec![b.sum(x, &[0])]
    };
    assert_eq!(ends(Group::Nest, large), [[Reason::Partial], [Reason::Result]]);
    let axes = |b: &mut Builder| {
        let x = feed(b, 0, &[64, 64]);
        let t = tanh(b, x);
        vec![b.sum(t, &[0]), b.sum(t, &[1])]
    };
    assert_eq!(ends(Group::Nest, axes), [vec![Reason::Result, Reason::Axes], vec![Reason::Result]]);
    let moved = |b: &mut Builder| {
        let x = feed(b, 0, &[64, 64]);
        let t = tanh(b, x);
        let u = b.transpose(t, &[1, 0]);
        vec![b.add(t, u)]
    };
    assert_eq!(ends(Group::Nest, moved), [[Reason::Moved], [Reason::Result]]);
    let narrow = |b: &mut Builder| {
        let x = feed(b, 0, &[1, 64]);
        let t = tanh(b, x);
        let wide = b.broadcast(t, &[64, 64]);
        let y = feed(b, 1, &[64, 64]);
        vec![b.mul(wide, y)]
    };
    assert_eq!(ends(Group::Nest, narrow), [[Reason::Domain], [Reason::Result]]);
    let mut b = Builder::new();
    let x = b.input(Source::State(StateId(0)), &[64]);
    let y = tanh(&mut b, x);
    b.output("update", y, Sink::Update(StateId(0)));
    let plan = schedule::plan(&b.finish(), TARGET);
    assert_eq!(plan.kernels.iter().map(|k| &k.ends[..]).collect::<Vec<_>>(), [[Reason::Update]]);
}

#[test]
fn work_is_counted_from_operands_and_accesses() {
    let plan = planned(|b| {
        let y = product(b);
        let bias = feed(b, 2, &[1, 16]);
        let bias = b.broadcast(bias, &[8, 16]);
        let y = b.add(y, bias);
        vec![tanh(b, y)]
    });
    let [pack, product] = &plan.kernels[..] else { panic!("{}", text::print(&plan)) };
    let work = pack.work(TARGET.columns);
    assert_eq!((work.flops(), work.read, work.written), (0, 4 * 12 * 16, 4 * 12 * 16));
    let work = product.work(TARGET.columns);
    assert_eq!((work.products, work.pointwise), (2 * 8 * 12 * 16, 2 * 8 * 16));
    // The bias counts once, and the product's result only as what the nest makes of it.
    assert_eq!((work.read, work.written), (4 * (8 * 12 + 12 * 16 + 16), 4 * 8 * 16));
    // Panels are whole.
    assert_eq!(product.work(32).read, 4 * (8 * 12 + 12 * 32 + 16));
}

#[test]
fn plans_say_what_they_do() {
    let program = driver::program(&model("dcgan", &[]), Some(64));
    let printed = ["G", "D"].map(|net| {
        let sampler = program.sampler(net).expect("the net");
        format!("# {net}\n{}", text::print(&schedule::plan_of(&program, &sampler.graph, TARGET)))
    });
    insta::assert_snapshot!(printed.concat());
}
