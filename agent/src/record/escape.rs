//! JSON string escaping, many bytes at a time: log lines are long and need it seldom.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Bytes that are looked at a word at a time before whole blocks are.
const SHORT: usize = 24;
const BLOCK: usize = 32;

/// Appends the inside of a JSON string for `text` (valid UTF-8) to `out`.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let plain = plain_length(rest);
        let (run, tail) = rest.split_at(plain);
        out.extend_from_slice(run);
        let Some((&byte, tail)) = tail.split_first() else { return };
        push_escaped(byte, out);
        rest = tail;
    }
}

fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

/// How many bytes at the start of `text` need no escape: up to the first quote, backslash or control character.
#[inline]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    // Most texts between quotes are short: a few words decide.
    let mut done = 0;
    for word in text.as_chunks::<8>().0.iter().take(SHORT / 8) {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return done + (found.trailing_zeros() / 8) as usize;
        }
        done += 8;
    }
    long_plain_length(text, done)
}

fn long_plain_length(text: &[u8], from: usize) -> usize {
    let mut done = from;
    for block in text.get(done..).unwrap_or_default().as_chunks::<BLOCK>().0 {
        if has_special(block) {
            break;
        }
        done += BLOCK;
    }
    let (words, tail) = text.get(done..).unwrap_or_default().as_chunks::<8>();
    for word in words {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return done + (found.trailing_zeros() / 8) as usize;
        }
        done += 8;
    }
    done + tail.iter().position(|b| is_special(*b)).unwrap_or(tail.len())
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Written so that the compiler makes vector instructions of it.
fn has_special(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(0, |found, byte| found | u8::from(is_special(*byte))) != 0
}

/// Sets the high bit of every byte of `word` that is below 0x20, a quote or a backslash. The lowest set bit is
/// exact; higher ones may be false (a borrow can run upwards), so only the lowest may be used.
fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let quote = zero(word ^ (LOW * b'"' as u64));
    let backslash = zero(word ^ (LOW * b'\\' as u64));
    (control | quote | backslash) & HIGH
}

fn zero(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_byte_that_needs_an_escape_is_found(plain in "[a-z\u{7f}-\u{ff}]{0,120}", rest in "[\"\\\\\u{0}-\u{1f}]?.{0,50}") {
            let text = plain + &rest;
            let expected = text.bytes().position(is_special).unwrap_or(text.len());
            prop_assert_eq!(plain_length(text.as_bytes()), expected);
        }

        #[test]
        fn an_escaped_text_reads_back_as_itself(text in "(?s).{0,100}", quotes in "[\"\\\\\u{0}-\u{1f}a]{0,20}") {
            let text = text + &quotes;
            let mut out = vec![b'"'];
            escape(text.as_bytes(), &mut out);
            out.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
