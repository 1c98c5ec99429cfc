//! How long the hot paths take: `cargo bench -p micro`. An iteration is a message (or a header), so the times are
//! nanoseconds a message. What is repeated comes from the library of this package.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use micro::{Echo, Kind, SIZES, frame, payload, text};
use newswire_proto::{FrameHeader, MAX_HEADER_LEN, Mask, OpCode, Role, Utf8Bytes};

/// As many bytes arrive before the clock starts: they stay in the cache, and the clock is read seldom.
const ARRIVE: usize = 256 << 10;

/// Masking in place, and into a copy, against copying the same bytes.
fn mask(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask");
    for (size, label) in SIZES {
        let mut data = payload(Kind::Binary, size);
        let source = data.clone();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("in place", label), |b| {
            let mut mask = Mask::new([1, 2, 3, 4]);
            b.iter(|| mask.apply(black_box(&mut data)));
        });
        group.bench_function(BenchmarkId::new("memcpy", label), |b| {
            b.iter(|| {
                data.copy_from_slice(black_box(&source));
                black_box(&mut data);
            });
        });
        group.bench_function(BenchmarkId::new("copy", label), |b| {
            let mut mask = Mask::new([1, 2, 3, 4]);
            let mut out = Vec::new();
            b.iter(|| {
                out.clear();
                mask.copy(black_box(&source), &mut out);
                black_box(&mut out);
            });
        });
    }
    group.finish();
}

fn utf8(c: &mut Criterion) {
    let mut group = c.benchmark_group("UTF-8");
    for kind in [Kind::Ascii, Kind::Mixed] {
        for (size, label) in SIZES {
            let text = text(kind, size);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(kind.name(), label), |b| {
                b.iter(|| Utf8Bytes::try_from(black_box(&text).clone()));
            });
        }
    }
    group.finish();
}

fn header(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    // One of each form of the length.
    for (size, label) in [(16, "16 B"), (1 << 10, "1 KiB"), (1 << 20, "1 MiB")] {
        let wire = frame(Role::Client, Kind::Binary, &payload(Kind::Binary, size));
        group.bench_function(BenchmarkId::new("parse", label), |b| {
            b.iter(|| FrameHeader::parse(black_box(&wire)));
        });
        group.bench_function(BenchmarkId::new("encode", label), |b| {
            b.iter(|| {
                let header = FrameHeader::new(OpCode::Binary, black_box(size as u64), None);
                let mut bytes = [0; MAX_HEADER_LEN];
                let len = header.encode(&mut bytes);
                black_box(&bytes);
                len
            });
        });
    }
    group.finish();
}

/// A message through `Connection`: bytes in, event, send, output drained.
fn echo(c: &mut Criterion) {
    for (role, end) in [(Role::Server, "server"), (Role::Client, "client")] {
        for messages in [1, 16] {
            let mut group = c.benchmark_group(format!("echo, {end}, {messages} a read"));
            for kind in [Kind::Binary, Kind::Ascii, Kind::Mixed] {
                for (size, label) in SIZES {
                    let mut echo = Echo::new(role, kind, size, messages);
                    group.bench_function(BenchmarkId::new(kind.name(), label), |b| {
                        b.iter_custom(|iterations| time(&mut echo, iterations));
                    });
                }
            }
            group.finish();
        }
    }
}

/// Messages that come in pieces: put together, and text checked as it comes. The pieces end inside characters.
fn pieces(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo, server, in reads of 1000");
    for kind in [Kind::Binary, Kind::Ascii, Kind::Mixed] {
        for (size, label) in [(16 << 10, "16 KiB"), (1 << 20, "1 MiB")] {
            let mut echo = Echo::new(Role::Server, kind, size, 1).in_reads_of(1000);
            group.bench_function(BenchmarkId::new(kind.name(), label), |b| {
                b.iter_custom(|iterations| time(&mut echo, iterations));
            });
        }
    }
    group.finish();
}

/// The time of so many messages, without that of their arriving.
fn time(echo: &mut Echo, messages: u64) -> Duration {
    let turns_at_once = (ARRIVE / echo.wire_len()).max(1);
    let mut turns = (messages as usize).div_ceil(echo.messages());
    let mut done = 0;
    let mut taken = Duration::ZERO;
    while turns > 0 {
        let now = turns.min(turns_at_once);
        echo.arrive(now);
        let start = Instant::now();
        done += echo.run();
        taken += start.elapsed();
        turns -= now;
    }
    // The last turn may have had more messages than were asked for.
    taken.mul_f64(messages as f64 / done as f64)
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20)
        .without_plots()
}

criterion_group! {
    name = benches;
    config = short();
    targets = mask, utf8, header, echo, pieces
}
criterion_main!(benches);
