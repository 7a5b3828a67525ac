//! Tells whether media came back as it went in, where tags have verified already: that it was sealed right.
//!
//! No protection against anybody, which tags and digests are for; it takes a twentieth of the time of SHA-256.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-64/NVME of media (NVM Command Set specification 1.0, 5.2.1.3.4).
pub(super) struct Checksum(Digest);

impl Checksum {
    pub fn update(&mut self, media: &[u8]) {
        self.0.update(media);
    }

    pub fn finish(self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the catalogue of CRC algorithms gives for CRC-64/NVME.
    #[test]
    fn the_check_value() {
        let mut checksum = Checksum::default();
        checksum.update(b"1234");
        checksum.update(b"56789");
        assert_eq!(checksum.finish(), 0xae8b_1486_0a79_9888);
    }
}
