//! Masking with the vector instructions of x86-64 processors: AVX-512 and AVX2, chosen at
//! run time. The loop is the one of `mask.rs`, inlined here, where the compiler may use wider vectors;
//! `unsafe` is only the promise that the processor has the instructions.
#![allow(unsafe_code)]

/// Masks `data`, or returns `false` when this processor has nothing better than words.
pub(super) fn mask(data: &mut [u8], key: u32) -> bool {
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, by the line above.
        unsafe { avx512(data, key) };
        return true;
    }
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, by the line above.
        unsafe { avx2(data, key) };
        return true;
    }
    false
}

#[target_feature(enable = "avx2")]
fn avx2(data: &mut [u8], key: u32) {
    super::words(data, key);
}

#[target_feature(enable = "avx512f")]
fn avx512(data: &mut [u8], key: u32) {
    super::words(data, key);
}

/// The loops that this processor can run, for the test against the plain loop.
#[cfg(test)]
pub(super) fn loops() -> Vec<fn(&mut [u8], u32)> {
    let mut loops: Vec<fn(&mut [u8], u32)> = Vec::new();
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F, by the line above.
        loops.push(|data, key| unsafe { avx512(data, key) });
    }
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, by the line above.
        loops.push(|data, key| unsafe { avx2(data, key) });
    }
    loops
}
