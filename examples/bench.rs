use ganc::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let t0 = Instant::now();
    let src = driver::read(a[1].as_ref()).unwrap();
    let sets: Vec<String> = a[4..].to_vec();
    let c = driver::check(src, &sets);
    eprintln!("{}", diag::render::text(&c.sources, c.findings.items(), false));
    let m = c.model.unwrap();
    println!("check {:?}", t0.elapsed());
    let t = Instant::now();
    let p = driver::program(&m, Some(a[2].parse().unwrap()));
    println!("build {:?}", t.elapsed());
    let t = Instant::now();
    let host = codegen::Host::detect().unwrap();
    let low = opt::lower(&opt::without_gradients(&p.phases[0].graph));
    println!("lower {:?} {} nodes", t.elapsed(), low.nodes().len());
    let t = Instant::now();
    let plan = schedule::plan(&low, host.target());
    println!("plan {:?} {} kernels {} MB", t.elapsed(), plan.kernels.len(), plan.arena * 4 >> 20);
    let t = Instant::now();
    if std::env::var("PLAN").is_ok() {
        println!("{}", schedule::text::print(&plan));
    }
    let th: usize = a[3].parse().unwrap();
    let mut s = driver::session(p, &host, train::Options { threads: th, seed: 1, keep_gradients: false }).unwrap();
    println!("session {:?} {:?}", t.elapsed(), s.phases().iter().map(|e| e.code_size()).collect::<Vec<_>>());
    for i in 0..s.program.feeds.len() {
        let id = graph::FeedId(i as u32);
        if s.is_data(id) {
            runtime::random::Stream { seed: 3, step: 0, stream: i as u32 }.uniform(s.memory.feed_mut(id), -1.0, 1.0);
        }
    }
    s.draw_noise();
    let n = if p_big(&s) { 6 } else { 300 };
    let mut ts = vec![];
    for i in 0..n {
        let t = Instant::now();
        for k in 0..s.program.order.len() {
            let ph = s.program.order[k];
            s.run_phase(ph);
        }
        s.progress.step += 1;
        ts.push(t.elapsed().as_secs_f64() * 1e3);
        if i < 2 {
            println!("{:?}", s.losses(0));
        }
    }
    ts.sort_by(|a, b| a.total_cmp(b));
    println!("step min {:.3} ms median {:.3} ms; {:?}", ts[0], ts[ts.len() / 2], s.losses(0));
    if std::env::var("PROF").is_ok() {
        s.profile(0);
    }
}
fn p_big(s: &train::Session) -> bool {
    s.phases()[0].plan().arena > 10_000_000
}
