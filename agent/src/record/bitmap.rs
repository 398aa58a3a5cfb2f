//! A set of item numbers of one member: which documents are still owed.

/// A fixed-length bitmap. Bits beyond `len` are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    len: u32,
    words: Box<[u64]>,
}

impl Bitmap {
    /// `len` bits, all zero.
    pub(crate) fn none(len: u32) -> Bitmap {
        Bitmap { len, words: vec![0; len.div_ceil(64) as usize].into() }
    }

    /// `len` bits, all one.
    pub(crate) fn all(len: u32) -> Bitmap {
        let mut map = Bitmap::none(len);
        for i in 0..len {
            map.set(i);
        }
        map
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn set(&mut self, i: u32) {
        debug_assert!(i < self.len);
        if let Some(word) = self.words.get_mut((i / 64) as usize) {
            *word |= 1 << (i % 64);
        }
    }

    pub(crate) fn clear(&mut self, i: u32) {
        if let Some(word) = self.words.get_mut((i / 64) as usize) {
            *word &= !(1 << (i % 64));
        }
    }

    pub(crate) fn get(&self, i: u32) -> bool {
        self.words.get((i / 64) as usize).is_some_and(|word| word >> (i % 64) & 1 == 1)
    }

    pub(crate) fn count(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The set bits in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len).filter(|i| self.get(*i))
    }

    /// Little-endian words, for a frame.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    /// The inverse of [`Bitmap::to_bytes`]. `None` if the length does not fit or a bit beyond `len` is set.
    pub(crate) fn from_bytes(len: u32, bytes: &[u8]) -> Option<Bitmap> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || chunks.len() != len.div_ceil(64) as usize {
            return None;
        }
        let words: Box<[u64]> = chunks.iter().map(|c| u64::from_le_bytes(*c)).collect();
        let spare = chunks.len() as u32 * 64 - len;
        if spare > 0 && words.last().is_some_and(|w| w.leading_zeros() < spare) {
            return None;
        }
        Some(Bitmap { len, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_survives_its_bytes_and_refuses_bits_beyond_its_length() {
        let mut map = Bitmap::none(70);
        map.set(0);
        map.set(69);
        assert_eq!(Bitmap::from_bytes(70, &map.to_bytes()), Some(map.clone()));
        assert_eq!(Bitmap::from_bytes(69, &map.to_bytes()), None);
        assert_eq!(Bitmap::from_bytes(129, &map.to_bytes()), None);
        assert_eq!(map.iter().collect::<Vec<_>>(), [0, 69]);
        map.clear(0);
        assert_eq!((map.count(), map.is_empty(), Bitmap::all(3).count()), (1, false, 3));
    }
}
