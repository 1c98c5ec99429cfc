//! What the targets share: reading a fuzzer's input as a script, and an oracle for what frames
//! mean. What is demanded of the code under test stands in `fuzz_targets/`.

pub mod oracle;
pub mod script;
pub mod wire;
