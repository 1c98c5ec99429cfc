//! `hot_paths`: runs each hot path N times and then 2N times, with a call of [`mark`] before and after each, at which
//! `counts` makes valgrind write what it has counted. Prints what it runs on, and the paths. Measures nothing itself.

use std::hint::black_box;

use micro::{Echo, Kind, frame, payload, text};
use newswire_proto::{FrameHeader, MAX_HEADER_LEN, Mask, OpCode, Role, Utf8Bytes};

/// Something that is done a number of times.
trait Work {
    /// Makes ready what doing it so often needs; not counted.
    fn prepare(&mut self, times: usize);
    fn run(&mut self);
    /// For how many messages doing it once stands.
    fn messages(&self) -> usize;
}

impl Work for Echo {
    fn prepare(&mut self, times: usize) {
        self.arrive(times);
    }

    fn run(&mut self) {
        black_box(Echo::run(self));
    }

    fn messages(&self) -> usize {
        Echo::messages(self)
    }
}

/// A function that needs nothing made ready.
struct Repeat<F> {
    times: usize,
    work: F,
}

impl<F: FnMut()> Work for Repeat<F> {
    fn prepare(&mut self, times: usize) {
        self.times = times;
    }

    fn run(&mut self) {
        for _ in 0..self.times {
            (self.work)();
        }
    }

    fn messages(&self) -> usize {
        1
    }
}

/// Where one count ends and the next begins.
#[inline(never)]
fn mark() {
    black_box(());
}

/// Counts `work` under this name. The exact number of times does not matter: the difference of once and twice does.
fn path(name: &str, times: usize, work: &mut dyn Work) {
    println!("path\t{name}\t{}", times * work.messages());
    // Buffers grow to their size, and what is looked up once is looked up.
    work.prepare(times);
    work.run();
    for times in [times, 2 * times] {
        work.prepare(times);
        mark();
        work.run();
        mark();
    }
}

fn repeat(name: &str, times: usize, work: impl FnMut()) {
    path(name, times, &mut Repeat { times, work });
}

fn main() {
    println!("processor\t{}\t{}", std::env::consts::ARCH, vectors());

    for (size, label) in [(16, "16 B"), (128, "128 B"), (1 << 10, "1 KiB")] {
        let mut data = payload(Kind::Binary, size);
        repeat(&format!("mask {label}"), 400, || {
            Mask::new(black_box([1, 2, 3, 4])).apply(black_box(&mut data));
        });
    }
    for kind in [Kind::Ascii, Kind::Mixed] {
        for (size, label) in [(16, "16 B"), (1 << 10, "1 KiB")] {
            let text = text(kind, size);
            repeat(&format!("UTF-8 {label} {}", kind.name()), 400, || {
                let _ = black_box(Utf8Bytes::try_from(black_box(&text).clone()));
            });
        }
    }
    for (size, label) in [(16, "16 B"), (1 << 10, "1 KiB")] {
        let wire = frame(Role::Client, Kind::Binary, &payload(Kind::Binary, size));
        repeat(&format!("header parse {label}"), 400, || {
            let _ = black_box(FrameHeader::parse(black_box(&wire)));
        });
        repeat(&format!("header encode {label}"), 400, || {
            let header = FrameHeader::new(OpCode::Binary, black_box(size as u64), None);
            let mut bytes = [0; MAX_HEADER_LEN];
            black_box((header.encode(&mut bytes), &bytes));
        });
    }
    for (role, end) in [(Role::Server, "server"), (Role::Client, "client")] {
        for (size, messages, label) in [
            (16, 1, "16 B"),
            (16, 16, "16 B ×16"),
            (128, 1, "128 B"),
            (128, 16, "128 B ×16"),
            (1 << 10, 16, "1 KiB ×16"),
            (16 << 10, 1, "16 KiB"),
            (1 << 20, 1, "1 MiB"),
        ] {
            let times = ((64 << 10) / size / messages).clamp(2, 200);
            for kind in [Kind::Binary, Kind::Ascii] {
                // A client's text goes the way of a server's.
                if role == Role::Server || kind == Kind::Binary {
                    let name = format!("echo {end} {label} {}", kind.name());
                    path(&name, times, &mut Echo::new(role, kind, size, messages));
                }
            }
        }
    }
    for kind in [Kind::Binary, Kind::Mixed] {
        let name = format!("echo server 16 KiB in reads of 1000 {}", kind.name());
        let echo = Echo::new(Role::Server, kind, 16 << 10, 1);
        path(&name, 4, &mut echo.in_reads_of(1000));
    }
}

/// The vector instructions that masking and the UTF-8 check choose by.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512f";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "baseline"
}
