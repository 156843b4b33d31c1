//! Shape rules of the primitives, one arm each.

use super::{Conv, Op, Role, Shape, volume};

/// The shape of `op` applied to arguments of these shapes, where it follows from them.
/// Errors: a sentence that names the operation and the shapes.
pub fn infer(op: &Op, args: &[&[usize]]) -> Result<Shape, String> {
    let wrong = |why: &str| Err(format!("{op:?} of {args:?}: {why}"));
    let need = |n: usize| if args.len() == n { Ok(()) } else { Err(format!("{op:?} takes {n} arguments, not {}", args.len())) };
    match op {
        Op::Input(_) | Op::Const(_) | Op::Literal(_) | Op::Reshape | Op::Broadcast | Op::Slice { .. } | Op::Pad { .. } => {
            wrong("the shape must be given")
        }
        Op::Unary(_) => need(1).map(|()| args[0].to_vec()),
        Op::Binary(_) => {
            need(2)?;
            if args[0] == args[1] { Ok(args[0].to_vec()) } else { wrong("shapes differ") }
        }
        Op::Select => {
            need(3)?;
            if args[0] == args[1] && args[0] == args[2] { Ok(args[0].to_vec()) } else { wrong("shapes differ") }
        }
        Op::Transpose(perm) => {
            need(1)?;
            let mut seen: Vec<usize> = perm.clone();
            seen.sort_unstable();
            if seen.iter().copied().eq(0..args[0].len()) {
                Ok(perm.iter().map(|&p| args[0][p]).collect())
            } else {
                wrong("not a permutation of the axes")
            }
        }
        Op::Concat(axis) => {
            let Some(first) = args.first() else { return wrong("no arguments") };
            if *axis >= first.len() {
                return wrong("no such axis");
            }
            let mut shape = first.to_vec();
            shape[*axis] = 0;
            for a in args {
                if a.len() != shape.len() || a.iter().zip(&shape).enumerate().any(|(i, (x, y))| i != *axis && x != y) {
                    return wrong("shapes differ outside the axis");
                }
                shape[*axis] += a[*axis];
            }
            Ok(shape)
        }
        Op::Reduce(_, axes) => {
            need(1)?;
            let mut shape = args[0].to_vec();
            if axes.is_empty() || axes.windows(2).any(|w| w[0] >= w[1]) || axes.iter().any(|&a| a >= shape.len()) {
                return wrong("axes must be present, ascending and inside the rank");
            }
            for &a in axes {
                shape[a] = 1;
            }
            Ok(shape)
        }
        Op::Dot { ta, tb } => {
            need(2)?;
            let (a, b) = (args[0], args[1]);
            let r = a.len();
            if r != b.len() || !(2..=3).contains(&r) || a[..r - 2] != b[..r - 2] {
                return wrong("ranks must be 2 or 3 and batches equal");
            }
            let (m, ka) = if *ta { (a[r - 1], a[r - 2]) } else { (a[r - 2], a[r - 1]) };
            let (kb, n) = if *tb { (b[r - 1], b[r - 2]) } else { (b[r - 2], b[r - 1]) };
            if ka != kb {
                return wrong("inner sizes differ");
            }
            let mut shape = a[..r - 2].to_vec();
            shape.extend([m, n]);
            Ok(shape)
        }
        Op::Conv(c) => {
            need(2)?;
            conv(c, args[0], args[1]).or_else(|why| wrong(&why))
        }
        Op::Grad => {
            need(2)?;
            Ok(args[1].to_vec())
        }
    }
}

fn conv(c: &Conv, a: &[usize], b: &[usize]) -> Result<Shape, String> {
    if a.len() != 4 || b.len() != 4 {
        return Err("both arguments must have rank 4".into());
    }
    for i in 0..2 {
        if c.stride[i] == 0 || c.kernel[i] == 0 || c.small[i] == 0 || c.big[i] == 0 {
            return Err("sizes and strides must be positive".into());
        }
    }
    let is = |what: &str, have: &[usize], want: [usize; 2]| {
        if have == want { Ok(()) } else { Err(format!("{what} is {have:?}, the geometry says {want:?}")) }
    };
    match c.role {
        Role::Forward => {
            is("big", &a[1..3], c.big)?;
            is("kernel", &b[..2], c.kernel)?;
            if a[3] != b[2] {
                return Err("channels differ".into());
            }
            Ok(vec![a[0], c.small[0], c.small[1], b[3]])
        }
        Role::InputGrad => {
            is("small", &a[1..3], c.small)?;
            is("kernel", &b[..2], c.kernel)?;
            if a[3] != b[3] {
                return Err("channels differ".into());
            }
            Ok(vec![a[0], c.big[0], c.big[1], b[2]])
        }
        Role::FilterGrad => {
            is("big", &a[1..3], c.big)?;
            is("small", &b[1..3], c.small)?;
            if a[0] != b[0] {
                return Err("batches differ".into());
            }
            Ok(vec![c.kernel[0], c.kernel[1], a[3], b[3]])
        }
    }
}

/// Whether `shape` is right for `op` on these arguments.
/// Errors: a sentence that names the operation and the shapes.
pub fn check(op: &Op, args: &[&[usize]], shape: &[usize]) -> Result<(), String> {
    let ok = match op {
        Op::Input(_) | Op::Const(_) | Op::Literal(_) => args.is_empty(),
        Op::Reshape => args.len() == 1 && volume(args[0]) == volume(shape),
        Op::Broadcast => {
            args.len() == 1 && args[0].len() == shape.len() && args[0].iter().zip(shape).all(|(&a, &s)| a == s || a == 1)
        }
        Op::Slice { start, step } => args.len() == 1 && spread(start, step, shape, args[0]),
        Op::Pad { low, step } => args.len() == 1 && spread(low, step, args[0], shape),
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Transpose(_)
        | Op::Concat(_)
        | Op::Reduce(..)
        | Op::Dot { .. }
        | Op::Conv(_)
        | Op::Grad => {
            let inferred = infer(op, args)?;
            inferred == shape
        }
    };
    if ok && !shape.contains(&0) { Ok(()) } else { Err(format!("{op:?} of {args:?} cannot have the shape {shape:?}")) }
}

/// Whether `small` elements at `start + i*step` lie inside `big`.
fn spread(start: &[usize], step: &[usize], small: &[usize], big: &[usize]) -> bool {
    let r = big.len();
    start.len() == r
        && step.len() == r
        && small.len() == r
        && (0..r).all(|i| step[i] > 0 && small[i] > 0 && start[i] + (small[i] - 1) * step[i] < big[i])
}
