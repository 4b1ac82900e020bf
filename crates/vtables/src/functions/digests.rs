//! Hashes of values: `md5`, `sha1`, `sha256`.

use std::fmt::Write;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::call::{Call, Result};

fn hex<D: Digest>(call: &Call<'_>) -> String {
    D::digest(call.bytes(0)).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `md5(value)`
pub(super) fn md5(call: &Call<'_>) -> Result {
    Ok(hex::<Md5>(call).into())
}

/// `sha1(value)`
pub(super) fn sha1(call: &Call<'_>) -> Result {
    Ok(hex::<Sha1>(call).into())
}

/// `sha256(value)`
pub(super) fn sha256(call: &Call<'_>) -> Result {
    Ok(hex::<Sha256>(call).into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn values_are_hashed_by_their_bytes() {
        check(&[
            ("md5('test')", "'098f6bcd4621d373cade4e832627b4f6'"),
            ("sha1('test')", "'a94a8fe5ccb19ba61c4c0873d391e987982fbbd3'"),
            ("sha256('test')", "'9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'"),
            ("sha1('')", "'da39a3ee5e6b4b0d3255bfef95601890afd80709'"),
            ("md5(12) = md5('12')", "1"),
            ("md5(x'74657374') = md5('test')", "1"),
            ("md5('a' || char(0) || 'b') = md5('a')", "0"),
        ]);
    }
}
