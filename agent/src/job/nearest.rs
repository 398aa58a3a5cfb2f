//! The nearest known word to one that nobody knows. Pure.

/// Words that other shippers use, and what the same thing is called here.
const CALLED_ELSEWHERE: &[(&str, &str)] = &[
    ("path", "paths"),
    ("file", "paths"),
    ("files", "paths"),
    ("include", "paths"),
    ("ignore", "exclude"),
    ("exclude_files", "exclude"),
    ("start_position", "start"),
    ("read_from", "start"),
    ("input", "source"),
    ("inputs", "source"),
    ("sources", "source"),
    ("output", "sink"),
    ("outputs", "sink"),
    ("sinks", "sink"),
    ("codec", "format"),
    ("time_key", "timestamp"),
    ("timestamp_field", "timestamp"),
    ("host", "endpoint"),
    ("hosts", "endpoints"),
    ("url", "endpoint"),
    ("urls", "endpoints"),
    ("address", "endpoint"),
    ("cluster", "datasource"),
    ("data_source", "datasource"),
    ("username", "user"),
    ("login", "user"),
    ("pass", "password"),
    ("passwd", "password"),
    ("token", "bearer_token"),
    ("bearer", "bearer_token"),
    ("apikey", "api_key"),
    ("ssl", "tls"),
    ("ca", "ca_file"),
    ("certificate", "certificate_file"),
    ("cert", "certificate_file"),
    ("cert_file", "certificate_file"),
    ("key", "key_file"),
    ("verify_certificate", "verify"),
    ("batch", "bulk"),
    ("gzip", "compression"),
    ("compression_level", "compression"),
    ("concurrency", "max_in_flight"),
    ("workers", "max_in_flight"),
    ("flush_interval", "linger"),
    ("max_size", "max_bytes"),
    ("overflow", "when_full"),
    ("name", "id"),
];

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = fold(word);
    let reach = (folded.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&folded, &fold(c)), c))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// As `nearest`, for keys: also knows what a thing is called elsewhere.
pub(crate) fn nearest_key(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let folded = fold(word);
    let renamed = CALLED_ELSEWHERE
        .iter()
        .find(|(there, here)| fold(there) == folded && known.contains(here))
        .map(|(_, here)| *here);
    renamed.or_else(|| nearest(word, known.iter().copied()))
}

fn fold(word: &str) -> String {
    // A key of a hostile file may be a megabyte long, and the distance is quadratic.
    word.chars().take(64).flat_map(char::to_lowercase).filter(|c| !matches!(c, '_' | '-')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key_and_nonsense_finds_none() {
        let known = &["index", "endpoint", "endpoints", "pipeline", "when_full"];
        for (word, expected) in [
            ("indx", Some("index")),
            ("Index", Some("index")),
            ("idnex", Some("index")),
            ("piplein", Some("pipeline")),
            ("whenFull", Some("when_full")),
            ("when-full", Some("when_full")),
            ("endpiont", Some("endpoint")),
            ("hosts", Some("endpoints")),
            ("elephant", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest_key(word, known), expected, "{word}");
        }
    }
}
