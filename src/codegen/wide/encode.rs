//! Machine code of x86-64 with AVX2 and FMA: the instructions that nests need, each with its text.
//!
//! Vector instructions take the three-byte VEX prefix: `C4`, then `R X B` inverted with the number of the opcode map, then `W`, the second
//! operand inverted, the length, and the number of the prefix it stands for (Intel's manual, volume 2, section 2.3.5).

use crate::codegen::math::Compare;
use std::fmt::{self, Display};

/// A general register, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gpr(pub u8);

/// A vector register, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ymm(pub u8);

pub const RAX: Gpr = Gpr(0);
pub const RCX: Gpr = Gpr(1);
pub const RDX: Gpr = Gpr(2);
pub const RSP: Gpr = Gpr(4);

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mem {
    /// `[base + index + offset]`.
    At { base: Gpr, index: Option<Gpr>, offset: i32 },
    /// Bytes from the start of the constants, which follow the code.
    Pool(usize),
}

/// The last operand of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    Reg(Ymm),
    Mem(Mem),
}

/// Vector instructions of two sources and a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Two {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    And,
    Or,
    Xor,
    AddInt,
    SubInt,
    Fma213,
    Fma231,
}

/// Vector instructions of one source and a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum One {
    Sqrt,
    FromInt,
    Move,
    Broadcast,
}

/// Conditions of jumps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    Always,
    NotZero,
    GreaterEqual,
    LessEqual,
    Greater,
}

/// A place in code that jumps go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// An opcode: the prefix it stands for, its map, and its byte.
#[derive(Clone, Copy)]
struct Opcode {
    prefix: u8,
    map: u8,
    byte: u8,
}

const NONE: u8 = 0;
const P66: u8 = 1;
const PF3: u8 = 2;
const M0F: u8 = 1;
const M38: u8 = 2;
const M3A: u8 = 3;

const fn op(prefix: u8, map: u8, byte: u8) -> Opcode {
    Opcode { prefix, map, byte }
}

impl Two {
    #[rustfmt::skip]
    fn code(self) -> (Opcode, &'static str) {
        match self {
            Two::Add    => (op(NONE, M0F, 0x58), "vaddps"),
            Two::Sub    => (op(NONE, M0F, 0x5C), "vsubps"),
            Two::Mul    => (op(NONE, M0F, 0x59), "vmulps"),
            Two::Div    => (op(NONE, M0F, 0x5E), "vdivps"),
            Two::Max    => (op(NONE, M0F, 0x5F), "vmaxps"),
            Two::Min    => (op(NONE, M0F, 0x5D), "vminps"),
            Two::And    => (op(NONE, M0F, 0x54), "vandps"),
            Two::Or     => (op(NONE, M0F, 0x56), "vorps"),
            Two::Xor    => (op(NONE, M0F, 0x57), "vxorps"),
            Two::AddInt => (op(P66,  M0F, 0xFE), "vpaddd"),
            Two::SubInt => (op(P66,  M0F, 0xFA), "vpsubd"),
            Two::Fma213 => (op(P66,  M38, 0xA8), "vfmadd213ps"),
            Two::Fma231 => (op(P66,  M38, 0xB8), "vfmadd231ps"),
        }
    }
}

impl One {
    #[rustfmt::skip]
    fn code(self) -> (Opcode, &'static str) {
        match self {
            One::Sqrt      => (op(NONE, M0F, 0x51), "vsqrtps"),
            One::FromInt   => (op(NONE, M0F, 0x5B), "vcvtdq2ps"),
            One::Move      => (op(NONE, M0F, 0x10), "vmovups"),
            One::Broadcast => (op(P66,  M38, 0x18), "vbroadcastss"),
        }
    }
}

/// The predicate of `vcmpps`; quiet.
fn predicate(cc: Compare) -> u8 {
    match cc {
        Compare::Less => 0x11,
        Compare::LessEqual => 0x12,
        Compare::Greater => 0x1E,
        Compare::Equal => 0x00,
        Compare::NotEqual => 0x04,
    }
}

impl Display for Gpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 0..8 => f.write_str(["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"][usize::from(n)]),
            n => write!(f, "r{n}"),
        }
    }
}

impl Display for Ymm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ymm{}", self.0)
    }
}

impl Display for Mem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mem::At { base, index: Some(i), offset } => write!(f, "[{base} + {i} + {offset}]"),
            Mem::At { base, index: None, offset } => write!(f, "[{base} + {offset}]"),
            Mem::Pool(at) => write!(f, "[constants + {at}]"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Reg(r) => r.fmt(f),
            Operand::Mem(m) => m.fmt(f),
        }
    }
}

/// Code under way.
#[derive(Default)]
pub struct Code {
    bytes: Vec<u8>,
    text: Vec<String>,
    /// Constants, after the code.
    pool: Vec<u8>,
    /// Where [`Code::window`] is among them.
    window: Option<usize>,
    /// Where offsets to the pool stand, what follows them in their instruction, and the place in the pool.
    pool_uses: Vec<(usize, usize, usize)>,
    labels: Vec<Option<usize>>,
    /// Where jumps' offsets stand, and their labels.
    jumps: Vec<(usize, Label)>,
    /// Where sizes of the frame stand.
    frames: Vec<usize>,
}

impl Code {
    /// The place of a vector of `bits` among the constants.
    pub fn constant(&mut self, bits: [u32; 8]) -> Mem {
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let known = self.pool.chunks_exact(32).position(|c| c == bytes);
        let at = known.map_or(self.pool.len(), |n| n * 32);
        if known.is_none() {
            self.pool.extend(bytes);
        }
        Mem::Pool(at)
    }

    /// The place of eight lanes of set bits, followed by eight of cleared ones.
    pub fn window(&mut self) -> Mem {
        let at = *self.window.get_or_insert_with(|| {
            self.pool.extend([[0xFF; 32], [0; 32]].concat());
            self.pool.len() - 64
        });
        Mem::Pool(at)
    }

    fn note(&mut self, text: String) {
        self.text.push(text);
    }

    /// ModRM, SIB and displacement of `reg` and a place; `after` bytes of the instruction follow.
    fn place(&mut self, reg: u8, mem: Mem, after: usize) {
        let reg = (reg & 7) << 3;
        match mem {
            Mem::Pool(at) => {
                self.bytes.push(reg | 5);
                self.pool_uses.push((self.bytes.len(), after, at));
                self.bytes.extend([0; 4]);
            }
            Mem::At { base, index, offset } => {
                let low = base.0 & 7;
                let short = i8::try_from(offset).ok();
                let mode = match short {
                    Some(0) if low != 5 => 0x00,
                    Some(_) => 0x40,
                    None => 0x80,
                };
                match index {
                    Some(i) => self.bytes.extend([mode | reg | 4, (i.0 & 7) << 3 | low]),
                    // The stack pointer's number says that another byte follows; its own number there says that no index does.
                    None if low == 4 => self.bytes.extend([mode | reg | 4, 0x24]),
                    None => self.bytes.push(mode | reg | low),
                }
                match (mode, short) {
                    (0x00, _) => {}
                    (0x40, Some(x)) => self.bytes.push(x as u8),
                    (_, _) => self.bytes.extend(offset.to_le_bytes()),
                }
            }
        }
    }

    /// A vector instruction; `second` is 0 where it has none.
    fn vex(&mut self, o: Opcode, wide: bool, reg: u8, second: u8, last: Operand, immediate: Option<u8>) {
        let (x, b) = match last {
            Operand::Reg(r) => (0, r.0 >> 3),
            Operand::Mem(Mem::At { base, index, .. }) => (index.map_or(0, |i| i.0 >> 3), base.0 >> 3),
            Operand::Mem(Mem::Pool(_)) => (0, 0),
        };
        let high = (!(reg >> 3) & 1) << 7 | (!x & 1) << 6 | (!b & 1) << 5 | o.map;
        self.bytes.extend([0xC4, high, (!second & 15) << 3 | u8::from(wide) << 2 | o.prefix, o.byte]);
        match last {
            Operand::Reg(r) => self.bytes.push(0xC0 | (reg & 7) << 3 | r.0 & 7),
            Operand::Mem(m) => self.place(reg, m, usize::from(immediate.is_some())),
        }
        self.bytes.extend(immediate);
    }

    /// `to = f(a, b)`; the fused ones also read `to`.
    pub fn two(&mut self, f: Two, to: Ymm, a: Ymm, b: Operand) {
        let (o, name) = f.code();
        self.vex(o, true, to.0, a.0, b, None);
        self.note(format!("{name} {to}, {a}, {b}"));
    }

    /// As [`Code::two`] on the lower half.
    pub fn two_half(&mut self, f: Two, to: Ymm, a: Ymm, b: Ymm) {
        let (o, name) = f.code();
        self.vex(o, false, to.0, a.0, Operand::Reg(b), None);
        self.note(format!("{name} xmm{}, xmm{}, xmm{}", to.0, a.0, b.0));
    }

    /// `to = f(a)`.
    pub fn one(&mut self, f: One, to: Ymm, a: Operand) {
        let (o, name) = f.code();
        self.vex(o, true, to.0, 0, a, None);
        self.note(format!("{name} {to}, {a}"));
    }

    /// `to = a` shifted by a number of bits, to the left or, keeping the sign, to the right.
    pub fn shift(&mut self, left: bool, to: Ymm, a: Ymm, by: u8) {
        self.vex(op(P66, M0F, 0x72), true, if left { 6 } else { 4 }, to.0, Operand::Reg(a), Some(by));
        self.note(format!("{} {to}, {a}, {by}", if left { "vpslld" } else { "vpsrad" }));
    }

    /// All bits of a lane where the comparison holds, none elsewhere.
    pub fn compare(&mut self, cc: Compare, to: Ymm, a: Ymm, b: Operand) {
        self.vex(op(NONE, M0F, 0xC2), true, to.0, a.0, b, Some(predicate(cc)));
        self.note(format!("vcmpps {to}, {a}, {b}, {}", predicate(cc)));
    }

    /// `to = yes` where the sign bit of `mask` is set, `no` elsewhere.
    pub fn blend(&mut self, to: Ymm, no: Ymm, yes: Operand, mask: Ymm) {
        self.vex(op(P66, M3A, 0x4A), true, to.0, no.0, yes, Some(mask.0 << 4));
        self.note(format!("vblendvps {to}, {no}, {yes}, {mask}"));
    }

    /// Writes all lanes.
    pub fn store(&mut self, to: Mem, from: Ymm) {
        self.vex(op(NONE, M0F, 0x11), true, from.0, 0, Operand::Mem(to), None);
        self.note(format!("vmovups {to}, {from}"));
    }

    /// Writes the lanes where the sign bit of `mask` is set.
    pub fn store_some(&mut self, to: Mem, mask: Ymm, from: Ymm) {
        self.vex(op(P66, M38, 0x2E), true, from.0, mask.0, Operand::Mem(to), None);
        self.note(format!("vmaskmovps {to}, {mask}, {from}"));
    }

    /// Writes the first lane.
    pub fn store_one(&mut self, to: Mem, from: Ymm) {
        self.vex(op(PF3, M0F, 0x11), false, from.0, 0, Operand::Mem(to), None);
        self.note(format!("vmovss {to}, xmm{}", from.0));
    }

    /// The upper half of `from` as the lower one of `to`.
    pub fn upper(&mut self, to: Ymm, from: Ymm) {
        self.vex(op(P66, M3A, 0x19), true, from.0, 0, Operand::Reg(to), Some(1));
        self.note(format!("vextractf128 xmm{}, {from}, 1", to.0));
    }

    /// Lanes of `from`'s lower half, by two bits each.
    pub fn shuffle(&mut self, to: Ymm, from: Ymm, lanes: u8) {
        self.vex(op(NONE, M0F, 0xC6), false, to.0, from.0, Operand::Reg(from), Some(lanes));
        self.note(format!("vshufps xmm{}, xmm{}, xmm{}, {lanes}", to.0, from.0, from.0));
    }

    /// A general instruction on 64 bits with a register and a place.
    fn wide(&mut self, byte: u8, reg: u8, mem: Mem, after: usize) {
        let (x, b) = match mem {
            Mem::At { base, index, .. } => (index.map_or(0, |i| i.0 >> 3), base.0 >> 3),
            Mem::Pool(_) => (0, 0),
        };
        self.bytes.extend([0x48 | (reg >> 3) << 2 | x << 1 | b, byte]);
        self.place(reg, mem, after);
    }

    pub fn load(&mut self, to: Gpr, from: Mem) {
        self.wide(0x8B, to.0, from, 0);
        self.note(format!("mov {to}, {from}"));
    }

    pub fn save(&mut self, to: Mem, from: Gpr) {
        self.wide(0x89, from.0, to, 0);
        self.note(format!("mov {to}, {from}"));
    }

    pub fn address(&mut self, to: Gpr, of: Mem) {
        self.wide(0x8D, to.0, of, 0);
        self.note(format!("lea {to}, {of}"));
    }

    pub fn add_memory(&mut self, to: Gpr, from: Mem) {
        self.wide(0x03, to.0, from, 0);
        self.note(format!("add {to}, {from}"));
    }

    pub fn compare_memory(&mut self, a: Gpr, b: Mem) {
        self.wide(0x3B, a.0, b, 0);
        self.note(format!("cmp {a}, {b}"));
    }

    /// Adds a number to a place.
    pub fn add_to(&mut self, to: Mem, number: i32) {
        self.wide(0x81, 0, to, 4);
        self.bytes.extend(number.to_le_bytes());
        self.note(format!("add qword {to}, {number}"));
    }

    fn registers(&mut self, byte: u8, reg: u8, rm: Gpr) {
        self.bytes.extend([0x48 | (reg >> 3) << 2 | rm.0 >> 3, byte, 0xC0 | (reg & 7) << 3 | rm.0 & 7]);
    }

    pub fn copy(&mut self, to: Gpr, from: Gpr) {
        self.registers(0x89, from.0, to);
        self.note(format!("mov {to}, {from}"));
    }

    pub fn add(&mut self, to: Gpr, from: Gpr) {
        self.registers(0x01, from.0, to);
        self.note(format!("add {to}, {from}"));
    }

    pub fn subtract(&mut self, to: Gpr, from: Gpr) {
        self.registers(0x29, from.0, to);
        self.note(format!("sub {to}, {from}"));
    }

    pub fn add_number(&mut self, to: Gpr, number: i32) {
        self.registers(0x81, 0, to);
        self.bytes.extend(number.to_le_bytes());
        self.note(format!("add {to}, {number}"));
    }

    pub fn compare_number(&mut self, a: Gpr, number: i32) {
        self.registers(0x81, 7, a);
        self.bytes.extend(number.to_le_bytes());
        self.note(format!("cmp {a}, {number}"));
    }

    pub fn number(&mut self, to: Gpr, number: i32) {
        self.registers(0xC7, 0, to);
        self.bytes.extend(number.to_le_bytes());
        self.note(format!("mov {to}, {number}"));
    }

    pub fn times(&mut self, to: Gpr, number: i32) {
        self.registers(0x69, to.0, to);
        self.bytes.extend(number.to_le_bytes());
        self.note(format!("imul {to}, {to}, {number}"));
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.bytes.len());
        self.note(format!("L{}:", label.0));
    }

    pub fn jump(&mut self, when: When, to: Label) {
        let (bytes, name): (&[u8], _) = match when {
            When::Always => (&[0xE9], "jmp"),
            When::NotZero => (&[0x0F, 0x85], "jnz"),
            When::GreaterEqual => (&[0x0F, 0x8D], "jge"),
            When::LessEqual => (&[0x0F, 0x8E], "jle"),
            When::Greater => (&[0x0F, 0x8F], "jg"),
        };
        self.bytes.extend(bytes);
        self.jumps.push((self.bytes.len(), to));
        self.bytes.extend([0; 4]);
        self.note(format!("{name} L{}", to.0));
    }

    /// Saves `registers` and makes a frame at a multiple of 64, whose size [`Code::finish`] is told.
    pub fn enter(&mut self, registers: &[Gpr]) {
        for r in registers {
            self.push(0x50, *r, "push");
        }
        self.copy(RAX, RSP);
        self.bytes.extend([0x48, 0x83, 0xE4, 0xC0]);
        self.note("and rsp, -64".into());
        self.bytes.extend([0x48, 0x81, 0xEC]);
        self.frames.push(self.bytes.len());
        self.bytes.extend([0; 4]);
        self.note("sub rsp, frame".into());
        self.save(Mem::At { base: RSP, index: None, offset: 0 }, RAX);
    }

    /// Undoes [`Code::enter`] and returns.
    pub fn leave(&mut self, registers: &[Gpr]) {
        self.bytes.extend([0xC5, 0xF8, 0x77]);
        self.note("vzeroupper".into());
        self.load(RSP, Mem::At { base: RSP, index: None, offset: 0 });
        for r in registers.iter().rev() {
            self.push(0x58, *r, "pop");
        }
        self.bytes.push(0xC3);
        self.note("ret".into());
    }

    fn push(&mut self, byte: u8, r: Gpr, name: &str) {
        if r.0 >= 8 {
            self.bytes.push(0x41);
        }
        self.bytes.push(byte | r.0 & 7);
        self.note(format!("{name} {r}"));
    }

    /// The code with a frame of so many bytes, and its text; `None` where a jump goes nowhere or too far.
    pub fn finish(mut self, frame: usize) -> Option<(Vec<u8>, String)> {
        let frame = i32::try_from(frame).ok()?;
        for at in &self.frames {
            self.bytes[*at..at + 4].copy_from_slice(&frame.to_le_bytes());
        }
        for (at, label) in &self.jumps {
            let distance = i32::try_from(self.labels[label.0]? as i64 - (*at as i64 + 4)).ok()?;
            self.bytes[*at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(32), 0xCC);
        let pool = self.bytes.len();
        for (at, after, place) in &self.pool_uses {
            let distance = i32::try_from((pool + place) as i64 - (at + 4 + after) as i64).ok()?;
            self.bytes[*at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.bytes.extend(&self.pool);
        for (n, line) in self.pool.chunks_exact(4).enumerate().step_by(8) {
            self.text.push(format!(
                "constants + {}: {:#010x} ...",
                n * 4,
                u32::from_le_bytes([line[0], line[1], line[2], line[3]])
            ));
        }
        let text = self.text.iter().map(|l| if l.ends_with(':') { format!("{l}\n") } else { format!("  {l}\n") });
        let text = text.collect();
        Some((self.bytes, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn y(n: u8) -> Ymm {
        Ymm(n)
    }

    fn plain(base: u8, offset: i32) -> Operand {
        Operand::Mem(Mem::At { base: Gpr(base), index: None, offset })
    }

    fn indexed(base: u8, offset: i32) -> Operand {
        Operand::Mem(Mem::At { base: Gpr(base), index: Some(RCX), offset })
    }

    fn place(o: Operand) -> Mem {
        match o {
            Operand::Mem(m) => m,
            Operand::Reg(_) => unreachable!("a place"),
        }
    }

    /// Emits one instruction.
    type Emit = fn(&mut Code);

    /// Bytes that the GNU assembler gives for the same instructions, with three-byte prefixes and 32-bit numbers.
    #[test]
    #[rustfmt::skip]
    fn instructions_have_the_bytes_that_an_assembler_gives() {
        let rows: [(Emit, &str); 32] = [
            (|c| c.two(Two::Add, y(1), y(2), Operand::Reg(y(3))), "c4 e1 6c 58 cb"),
            (|c| c.two(Two::Mul, y(9), y(14), indexed(6, 32)), "c4 61 0c 59 4c 0e 20"),
            (|c| c.two(Two::Sub, y(0), y(15), plain(13, 0)), "c4 c1 04 5c 45 00"),
            (|c| c.two(Two::Div, y(8), y(1), indexed(12, 1000)), "c4 41 74 5e 84 0c e8 03 00 00"),
            (|c| c.two(Two::Fma213, y(10), y(11), plain(4, 64)), "c4 62 25 a8 54 24 40"),
            (|c| c.two(Two::Fma231, y(2), y(13), Operand::Reg(y(12))), "c4 c2 15 b8 d4"),
            (|c| c.two(Two::AddInt, y(3), y(4), Operand::Reg(y(5))), "c4 e1 5d fe dd"),
            (|c| c.one(One::Sqrt, y(7), plain(5, 0)), "c4 e1 7c 51 7d 00"),
            (|c| c.one(One::FromInt, y(6), Operand::Reg(y(9))), "c4 c1 7c 5b f1"),
            (|c| c.one(One::Broadcast, y(11), plain(0, 0)), "c4 62 7d 18 18"),
            (|c| c.shift(true, y(1), y(9), 23), "c4 c1 75 72 f1 17"),
            (|c| c.shift(false, y(12), y(2), 23), "c4 e1 1d 72 e2 17"),
            (|c| c.compare(Compare::LessEqual, y(4), y(5), indexed(8, 0)), "c4 c1 54 c2 24 08 12"),
            (|c| c.blend(y(1), y(2), plain(3, 0), y(12)), "c4 e3 6d 4a 0b c0"),
            (|c| c.store(place(indexed(15, 64)), y(13)), "c4 41 7c 11 6c 0f 40"),
            (|c| c.store_some(place(plain(7, 0)), y(15), y(1)), "c4 e2 05 2e 0f"),
            (|c| c.store_one(place(plain(0, 0)), y(9)), "c4 61 7a 11 08"),
            (|c| c.upper(y(3), y(12)), "c4 63 7d 19 e3 01"),
            (|c| c.shuffle(y(1), y(9), 14), "c4 c1 30 c6 c9 0e"),
            (|c| c.two_half(Two::Max, y(1), y(2), y(10)), "c4 c1 68 5f ca"),
            (|c| c.load(Gpr(12), place(plain(4, 8))), "4c 8b 64 24 08"),
            (|c| c.save(place(plain(9, 8)), Gpr(3)), "49 89 59 08"),
            (|c| c.address(RAX, place(plain(1, 64))), "48 8d 41 40"),
            (|c| c.add_memory(RAX, place(plain(4, 200))), "48 03 84 24 c8 00 00 00"),
            (|c| c.compare_memory(RAX, place(plain(5, 0))), "48 3b 45 00"),
            (|c| c.add_to(place(plain(4, 8)), 100_000), "48 81 44 24 08 a0 86 01 00"),
            (|c| c.add_number(Gpr(11), 100_000), "49 81 c3 a0 86 01 00"),
            (|c| c.compare_number(RDX, 100_000), "48 81 fa a0 86 01 00"),
            (|c| c.number(Gpr(9), 7), "49 c7 c1 07 00 00 00"),
            (|c| c.times(RCX, 100_000), "48 69 c9 a0 86 01 00"),
            (|c| c.copy(Gpr(13), RAX), "49 89 c5"),
            (|c| c.subtract(RDX, Gpr(8)), "4c 29 c2"),
        ];
        for (emit, expected) in rows {
            let mut c = Code::default();
            emit(&mut c);
            let found: Vec<String> = c.bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(found.join(" "), expected, "{}", c.text.join(" "));
        }
    }
}
