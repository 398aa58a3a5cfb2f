//! Random bytes from the kernel, by its system call: a static binary in an empty chroot has no /dev to open.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes` (at most 256, which the kernel gives in one piece).
///
/// # Errors
/// If the kernel has none to give.
pub(crate) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let asked = bytes.len();
    let given = getrandom(bytes, GetRandomFlags::empty())?;
    if given == asked { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut other) = ([0; 16], [0; 16]);
        fill_random(&mut one).unwrap();
        fill_random(&mut other).unwrap();
        assert_ne!(one, other);
    }
}
