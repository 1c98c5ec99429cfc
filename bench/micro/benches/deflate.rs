//! What compression takes: `cargo bench -p micro --bench deflate`. An iteration is a message of varied JSON, so the times
//! are those of a message; what is left of its size is printed before them. Many connections take turns, as on a server, or
//! one has all of them, as in a burst or at a client.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use newswire_proto::Role;
use newswire_proto::deflate::{
    Compression, Compressor, Decompressor, DeflateConfig, DeflateOffer, DeflateParams, SharedCodec,
};

const SIZES: [(usize, &str); 3] = [(128, "128 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB")];
const LEVELS: [u8; 4] = [1, 3, 6, 9];
/// So many different messages.
const MESSAGES: u64 = 257;
/// As many as the matrix has: the memory of so many dedicated compressors is in no cache.
const CONNECTIONS: usize = 50;
/// How far a message may refer back.
const WINDOW: usize = 32 << 10;

/// A mode and its name.
type Mode = (&'static str, fn(level: u8) -> Compression);

const MODES: [Mode; 4] = [
    ("Shared, 2 KiB", |level| Compression::Shared {
        history: 2048,
        level,
    }),
    ("Shared, 4 KiB", |level| Compression::Shared {
        history: 4096,
        level,
    }),
    ("Dedicated", |level| Compression::Dedicated {
        window_bits: 15,
        mem_level: 8,
        level,
    }),
    ("no context takeover", |level| Compression::Shared {
        history: 0,
        level,
    }),
];

fn messages(size: usize) -> Vec<Vec<u8>> {
    let messages = (0..MESSAGES).map(|number| load::json(size, number).into_bytes());
    messages.collect()
}

/// What a server with this configuration and a client with the same agree on.
fn params(config: &DeflateConfig) -> DeflateParams {
    let offer = config.offer().expect("compression is on");
    let offers = DeflateOffer::read([&offer]);
    config.accept(&offers).expect("an offer was made")
}

/// Connections that send messages in turn.
struct Senders {
    codec: SharedCodec,
    compressors: Vec<Compressor>,
    messages: Vec<Vec<u8>>,
    sent: usize,
    output: Vec<u8>,
}

impl Senders {
    fn new(compression: Compression, connections: usize, size: usize) -> Self {
        let config = DeflateConfig::new().compression(compression);
        let params = params(&config);
        let new = |_| Compressor::new(&config, params, Role::Server);
        Self {
            codec: SharedCodec::new(),
            compressors: (0..connections).map(new).collect(),
            messages: messages(size),
            sent: 0,
            output: Vec::new(),
        }
    }

    /// Sends the next message, and returns how large it was.
    fn send(&mut self) -> usize {
        let message = &self.messages[self.sent % self.messages.len()];
        let count = self.compressors.len();
        let compressor = &mut self.compressors[self.sent % count];
        self.output.clear();
        compressor.compress(&mut self.codec, message, &mut self.output);
        self.sent += 1;
        black_box(&self.output).len()
    }

    /// What is left of a message's size once every connection has sent a window full.
    fn ratio(&mut self, size: usize) -> f64 {
        let warm_up = (WINDOW / size).max(4) * self.compressors.len();
        for _ in 0..warm_up {
            self.send();
        }
        let total = (0..MESSAGES).map(|_| self.send()).sum::<usize>();
        total as f64 / (MESSAGES as usize * size) as f64
    }
}

fn compress(c: &mut Criterion) {
    for connections in [CONNECTIONS, 1] {
        let mut group = c.benchmark_group(format!("compress, {connections} connections"));
        for (mode, compression) in MODES {
            for level in LEVELS {
                for (size, label) in SIZES {
                    let mut senders = Senders::new(compression(level), connections, size);
                    let name = format!("{mode}, level {level}");
                    let ratio = senders.ratio(size) * 100.0;
                    println!("{name}, {label}, {connections} connections: leaves {ratio:.1} %");
                    let id = BenchmarkId::new(name, label);
                    group.bench_function(id, |b| b.iter(|| senders.send()));
                }
            }
        }
        group.finish();
    }
}

fn inflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("inflate");
    for (mode, compression) in MODES {
        for (size, label) in SIZES {
            let config = DeflateConfig::new().compression(compression(6));
            let params = params(&config);
            let mut codec = SharedCodec::new();
            let mut client = Compressor::new(&config, params, Role::Client);
            let sent: Vec<_> = messages(size)
                .iter()
                .map(|message| {
                    let mut payload = Vec::new();
                    client.compress(&mut codec, message, &mut payload);
                    payload
                })
                .collect();
            group.bench_function(BenchmarkId::new(mode, label), |b| {
                b.iter_custom(|count| receive(&config, params, &sent, size, count));
            });
        }
    }
    group.finish();
}

/// The time of so many messages. Each refers to those before it, so a connection begins anew when it has had them all.
fn receive(
    config: &DeflateConfig,
    params: DeflateParams,
    sent: &[Vec<u8>],
    size: usize,
    count: u64,
) -> Duration {
    let mut codec = SharedCodec::new();
    let mut taken = Duration::ZERO;
    let mut left = count as usize;
    while left > 0 {
        let mut server = Decompressor::new(config, params, Role::Server);
        let now = left.min(sent.len());
        let start = Instant::now();
        for payload in &sent[..now] {
            let mut message = Vec::new();
            server
                .decompress(&mut codec, payload, size, &mut message)
                .expect("it was just compressed");
            black_box(message);
        }
        taken += start.elapsed();
        left -= now;
    }
    taken
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(10)
        .without_plots()
}

criterion_group! {
    name = benches;
    config = short();
    targets = compress, inflate
}
criterion_main!(benches);
