//! Subnormal numbers count as zero while a plan runs: they are slow on most hosts, and every thread must treat them alike.

/// Sets flush-to-zero for the current thread until it is dropped.
pub struct FlushToZero {
    before: u64,
}

impl FlushToZero {
    /// Switches subnormal numbers off.
    pub fn enter() -> FlushToZero {
        let before = read();
        write(before | BITS);
        FlushToZero { before }
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        write(self.before);
    }
}

/// Flush-to-zero and denormals-are-zero.
#[cfg(target_arch = "x86_64")]
const BITS: u64 = 0x8040;
/// Flush-to-zero.
#[cfg(target_arch = "aarch64")]
const BITS: u64 = 1 << 24;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const BITS: u64 = 0;

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    let mut value: u32 = 0;
    // SAFETY: stores the control register of this thread to a local.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack)) };
    u64::from(value)
}

#[cfg(target_arch = "x86_64")]
fn write(value: u64) {
    let value = value as u32;
    // SAFETY: only the flush bits differ from what the thread had; no exception is unmasked.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack)) };
}

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let value: u64;
    // SAFETY: reads the control register of this thread.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack)) };
    value
}

#[cfg(target_arch = "aarch64")]
fn write(value: u64) {
    // SAFETY: only the flush bit differs from what the thread had.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn write(_: u64) {}
