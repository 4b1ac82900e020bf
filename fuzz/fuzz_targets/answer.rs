//! Answers from any bytes: all that a client makes of them, or a named error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    // An error is an answer; what fails is a panic, and what takes too long or too much.
    let _ = ipc::testing::answer(payload);
});
