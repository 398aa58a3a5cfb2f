//! A line as it is: an ECS document with the line as `message`.

use super::frame::Added;
use super::records::Record;
use crate::record::escape::escape;

/// Appends `{"@timestamp":…,"log":{…},"host":{…},…,"message":"…"}`. `error`: why the record is shipped like
/// this though its format is another.
pub(crate) fn document(added: &Added, record: &Record<'_>, error: Option<&str>, out: &mut Vec<u8>) {
    out.push(b'{');
    out.extend_from_slice(&added.timestamp);
    out.push(b',');
    added.push_log(record, out);
    out.extend_from_slice(&added.constants);
    if let Some(error) = error {
        out.extend_from_slice(b",\"error\":{\"type\":\"json\",\"message\":\"");
        escape(error.as_bytes(), out);
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b",\"message\":\"");
    escape(record.bytes, out);
    out.extend_from_slice(b"\"}");
}
