//! Cursors: places in a shard, as the service names them.
//!
//! A cursor is base64 of a decimal number that grows by 1 from log group to log group. Its text is sent back as it
//! came and never made up; its number orders cursors and names log groups.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::SlsError;

/// A place between two log groups of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    text: Box<str>,
    number: u64,
}

impl Cursor {
    /// # Errors
    /// [`SlsError::Unusable`]: it is no base64 of a number.
    pub(super) fn parse(text: &str) -> Result<Cursor, SlsError> {
        let wrong = || SlsError::Unusable(format!("{text:?} is no cursor"));
        let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
        let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        Ok(Cursor { text: text.into(), number })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The number of the log group that follows.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_keeps_its_text_and_is_ordered_by_its_number() {
        let cursor = Cursor::parse("MTQ0NzI5OTYwNjg5NjYzMjM1Ng==").unwrap();
        assert_eq!((cursor.number(), cursor.text()), (1_447_299_606_896_632_356, "MTQ0NzI5OTYwNjg5NjYzMjM1Ng=="));
        for wrong in ["", "x", "MTQ0NzI5OTYwNjg5NjYzMjM1Ng", "YWJj", "LTE="] {
            assert!(Cursor::parse(wrong).is_err(), "{wrong}");
        }
    }
}
