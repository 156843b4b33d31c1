//! Machine code for a plan: every loop nest becomes a function, emitted for wide vectors where the machine has them (`wide`) and otherwise,
//! or where a nest asks for what that cannot do, by way of Cranelift.
//!
//! Nests of the same structure share one function: what differs between them (addresses, and the sizes of the first and
//! last loop) comes in as arguments. The generated code calls nothing, so it needs no relocation.

mod clif;
mod math;
mod nest;
mod tile;
mod wide;

use crate::kernels::{MicroKernel, Tile, wanted};
use crate::schedule::nest::Nest;
use crate::schedule::{BufferId, Kind, Plan, Target};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, Signature, UserFuncName};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetFrontendConfig};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// A compiled nest: pointers of its accesses, then the ranges of its first and last loop.
pub type NestFn = unsafe extern "C" fn(*const *mut f32, usize, usize, usize, usize);

/// What emitters need to know of the host.
#[derive(Clone, Copy)]
struct Machine {
    has_fma: bool,
    /// Whether instructions may take a vector at any address as an operand. Without AVX, Cranelift 0.135 folds an
    /// unaligned load into `cmpps`, which faults.
    folds_loads: bool,
    /// Whether `wide` may be used.
    has_wide: bool,
    frontend: TargetFrontendConfig,
}

/// What code is generated for.
pub struct Host {
    isa: OwnedTargetIsa,
    machine: Machine,
    /// The micro-kernel that products use.
    pub kernel: Arc<MicroKernel>,
    /// Keeps the portable micro-kernel's code alive.
    _portable: Option<Arc<Code>>,
    /// `native` or `baseline`.
    pub name: &'static str,
}

/// Machine code in memory; freed when dropped.
pub struct Code {
    module: Option<JITModule>,
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: function pointers into the module are only held together with this value.
            unsafe { module.free_memory() }
        }
    }
}

// SAFETY: finished code is read-only, and the module is not touched again until it is dropped.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

/// The functions of a plan.
pub struct Compiled {
    /// For each kernel of the plan: its nest or epilogue, if it has one.
    pub functions: Vec<Option<NestFn>>,
    /// Bytes of machine code.
    pub bytes: usize,
    /// Number of distinct functions.
    pub distinct: usize,
    _code: Code,
}

/// The text of generated code, for `--emit clif` and `--emit asm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Cranelift's intermediate form of every nest, those that are emitted without it included.
    Clif,
    /// The host's assembly.
    Asm,
}

impl Host {
    /// This machine, with all it can do; or what `GANC_CPU` says: its portable subset for `baseline`, no vectors of more than 256 bits for
    /// `avx2`.
    /// Errors: the host has no Cranelift back end.
    pub fn detect() -> Result<Host, String> {
        match wanted().as_deref() {
            Some("baseline") => Host::baseline(),
            Some("avx2") => Host::with_avx2(),
            Some(_) | None => Host::native(),
        }
    }

    /// This machine with all it can do.
    /// Errors: as [`Host::detect`].
    pub fn native() -> Result<Host, String> {
        Host::with(MicroKernel::detect())
    }

    /// This machine without vectors of more than 256 bits.
    /// Errors: as [`Host::detect`].
    pub fn with_avx2() -> Result<Host, String> {
        Host::with(MicroKernel::detect_avx2())
    }

    fn with(kernel: Option<MicroKernel>) -> Result<Host, String> {
        let isa = isa(cranelift_native::builder().map_err(str::to_string)?)?;
        let mut machine = machine(&isa);
        // Its calling convention is that of Unix.
        machine.has_wide = kernel.is_some() && cfg!(all(target_arch = "x86_64", unix));
        let (kernel, portable) = match kernel {
            Some(k) => (k, None),
            None => portable_kernel(&isa, machine)?,
        };
        Ok(Host { isa, machine, kernel: Arc::new(kernel), _portable: portable, name: "native" })
    }

    /// The least that every machine of this architecture has.
    /// Errors: as [`Host::detect`].
    pub fn baseline() -> Result<Host, String> {
        let triple = cranelift_native::builder().map_err(str::to_string)?.triple().clone();
        let isa = isa(cranelift_codegen::isa::lookup(triple).map_err(|e| e.to_string())?)?;
        let machine = machine(&isa);
        let (kernel, portable) = portable_kernel(&isa, machine)?;
        Ok(Host { isa, machine, kernel: Arc::new(kernel), _portable: portable, name: "baseline" })
    }

    /// What schedules for this host need to know.
    pub fn target(&self) -> Target {
        Target {
            columns: self.kernel.columns,
            rows: self.kernel.rows,
            across: self.kernel.across(),
            winograd: self.kernel.vector > 0,
        }
    }
}

fn isa(builder: cranelift_codegen::isa::Builder) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_probestack", "false"),
    ] {
        flags.set(name, value).map_err(|e| e.to_string())?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
}

fn machine(isa: &OwnedTargetIsa) -> Machine {
    let other = !cfg!(target_arch = "x86_64");
    Machine {
        has_fma: flag(isa, "has_fma") || other,
        folds_loads: flag(isa, "has_avx") || other,
        has_wide: false,
        frontend: isa.frontend_config(),
    }
}

fn flag(isa: &OwnedTargetIsa, name: &str) -> bool {
    isa.isa_flags().iter().any(|f| f.name == name && f.as_bool() == Some(true))
}

fn portable_kernel(isa: &OwnedTargetIsa, machine: Machine) -> Result<(MicroKernel, Option<Arc<Code>>), String> {
    let functions: Vec<Emitted> = (1..=tile::ROWS)
        .map(|rows| {
            let mut f = Function::with_name_signature(UserFuncName::default(), tile::signature(isa.default_call_conv()));
            tile::emit(rows, &mut f, &mut FunctionBuilderContext::new(), machine);
            Emitted::Clif(Box::new(f))
        })
        .collect();
    let (code, addresses, _) = assemble(isa, functions)?;
    // SAFETY: the functions were emitted with this signature.
    let run = addresses.iter().map(|&p| unsafe { std::mem::transmute::<*const u8, Tile>(p) });
    let kernel = MicroKernel {
        name: "portable 4x8",
        rows: tile::ROWS,
        columns: tile::COLUMNS,
        run: vec![run.collect()],
        sparse: None,
        transpose: None,
        pause: None,
        pairs: false,
        vector: 0,
    };
    Ok((kernel, Some(Arc::new(code))))
}

/// A function that is emitted.
enum Emitted {
    /// For Cranelift to compile.
    Clif(Box<Function>),
    /// Machine code and its text.
    Wide(Vec<u8>, String),
}

/// Machine code with its alignment.
struct Bytes {
    signature: Signature,
    alignment: u64,
    data: Vec<u8>,
}

/// Compiles functions (in parallel) and puts them into executable memory.
fn assemble(isa: &OwnedTargetIsa, functions: Vec<Emitted>) -> Result<(Code, Vec<*const u8>, usize), String> {
    let compiled: Vec<Bytes> = functions.into_par_iter().map(|f| bytes_of(isa, f)).collect::<Result<_, String>>()?;
    let mut module = JITModule::new(JITBuilder::with_isa(isa.clone(), cranelift_module::default_libcall_names()));
    let mut ids: Vec<FuncId> = Vec::new();
    let mut bytes = 0;
    for Bytes { signature, alignment, data } in &compiled {
        let id = module.declare_anonymous_function(signature).map_err(|e| e.to_string())?;
        bytes += data.len();
        module.define_function_bytes(id, *alignment, data, &[]).map_err(|e| e.to_string())?;
        ids.push(id);
    }
    module.finalize_definitions().map_err(|e| e.to_string())?;
    let addresses = ids.iter().map(|&id| module.get_finalized_function(id)).collect();
    Ok((Code { module: Some(module) }, addresses, bytes))
}

fn bytes_of(isa: &OwnedTargetIsa, f: Emitted) -> Result<Bytes, String> {
    match f {
        Emitted::Wide(data, _) => Ok(Bytes { signature: nest::signature(isa.default_call_conv()), alignment: 64, data }),
        Emitted::Clif(f) => {
            let mut context = Context::for_function(*f);
            context.compile(isa.as_ref(), &mut ControlPlane::default()).map_err(|e| format!("{:?}", e.inner))?;
            let Some(code) = context.compiled_code() else { return Err("a function did not compile".into()) };
            if let Some(r) = code.buffer.relocs().first() {
                return Err(format!("generated code refers to {:?}", r.target));
            }
            let (alignment, data) = (u64::from(code.buffer.alignment), code.code_buffer().to_vec());
            Ok(Bytes { signature: context.func.signature.clone(), alignment, data })
        }
    }
}

/// A nest without what its function takes as arguments.
fn key(nest: &Nest) -> Nest {
    let mut key = nest.clone();
    let mut names: HashMap<BufferId, BufferId> = HashMap::new();
    for a in &mut key.accesses {
        let fresh = BufferId(names.len() as u32);
        a.buffer = *names.entry(a.buffer).or_insert(fresh);
        a.offset = 0;
    }
    key.dims[0].size = 0;
    // The step of a loop that is one turn long in all uses is still part of the code, so strides stay.
    if let Some(last) = key.dims.last_mut().filter(|d| !d.reduced) {
        last.size = 0;
    }
    key
}

/// The nest of a kernel, if it has one.
pub fn nest_of(kind: &Kind) -> Option<&Nest> {
    match kind {
        Kind::Nest(nest, _) | Kind::Tiles(_, Some(nest)) | Kind::Winograd(_, Some(nest)) | Kind::Narrow(_, Some(nest)) => {
            Some(nest)
        }
        Kind::Tiles(_, None)
        | Kind::Winograd(_, None)
        | Kind::Narrow(_, None)
        | Kind::Thin(_)
        | Kind::Border(_)
        | Kind::Pack(_)
        | Kind::Transform(_) => None,
    }
}

/// The functions to compile (emitted in parallel) and, for each kernel, which of them it uses. `wide` says whether those that can be are
/// emitted for wide vectors.
fn functions(plan: &Plan, host: &Host, wide: bool) -> (Vec<Emitted>, Vec<Option<usize>>) {
    let mut known: HashMap<Nest, usize> = HashMap::new();
    let mut distinct = Vec::new();
    let mut uses = Vec::with_capacity(plan.kernels.len());
    for kernel in &plan.kernels {
        uses.push(nest_of(&kernel.kind).map(|nest| {
            *known.entry(key(nest)).or_insert_with(|| {
                distinct.push(nest);
                distinct.len() - 1
            })
        }));
    }
    let emitted = distinct.into_par_iter().map_init(FunctionBuilderContext::new, |context, nest| emit(nest, context, host, wide));
    (emitted.collect(), uses)
}

fn emit(nest: &Nest, context: &mut FunctionBuilderContext, host: &Host, wide: bool) -> Emitted {
    if let Some((code, text)) = wide.then(|| wide::emit(nest)).flatten() {
        return Emitted::Wide(code, text);
    }
    let signature = nest::signature(host.isa.default_call_conv());
    let mut f = Function::with_name_signature(UserFuncName::default(), signature);
    nest::emit(nest, &mut f, context, host.machine);
    Emitted::Clif(Box::new(f))
}

/// Compiles every nest of `plan`.
/// Errors: Cranelift refuses a function, or memory for code cannot be had.
pub fn compile(plan: &Plan, host: &Host) -> Result<Compiled, String> {
    let (functions, uses) = functions(plan, host, host.machine.has_wide);
    let distinct = functions.len();
    let (code, addresses, bytes) = assemble(&host.isa, functions)?;
    let functions = uses
        .into_iter()
        // SAFETY: the functions were emitted with this signature.
        .map(|u| u.map(|i| unsafe { std::mem::transmute::<*const u8, NestFn>(addresses[i]) }))
        .collect();
    Ok(Compiled { functions, bytes, distinct, _code: code })
}

/// The code of every distinct nest of `plan` as text.
/// Errors: Cranelift refuses a function.
pub fn listing(plan: &Plan, host: &Host, form: Listing) -> Result<String, String> {
    let (functions, uses) = functions(plan, host, host.machine.has_wide && form == Listing::Asm);
    let mut text = String::new();
    for (i, f) in functions.into_iter().enumerate() {
        let users: Vec<String> = (0..uses.len()).filter(|&k| uses[k] == Some(i)).map(|k| k.to_string()).collect();
        text += &format!("; function {i}, kernels {}\n", users.join(" "));
        match (form, f) {
            (_, Emitted::Wide(_, listing)) => text += &listing,
            (Listing::Clif, Emitted::Clif(f)) => text += &f.display().to_string(),
            (Listing::Asm, Emitted::Clif(f)) => {
                let mut context = Context::for_function(*f);
                context.set_disasm(true);
                let code =
                    context.compile(host.isa.as_ref(), &mut ControlPlane::default()).map_err(|e| format!("{:?}", e.inner))?;
                text += code.vcode.as_deref().unwrap_or("");
            }
        }
        text.push('\n');
    }
    Ok(text)
}
