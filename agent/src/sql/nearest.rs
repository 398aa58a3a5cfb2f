//! The nearest known word to one that nobody knows. Pure.

/// The candidate that was probably meant, if one is near enough; case does not count.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A name of a hostile script may be a megabyte long, and the distance is quadratic.
    let fold = |word: &str| word.chars().take(64).flat_map(char::to_lowercase).collect::<String>();
    let folded = fold(word);
    let reach = (folded.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        // A name of one letter is one change away from every other one.
        .filter(|(distance, _)| *distance <= reach && *distance < folded.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean x?` if there is something near.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |meant| format!("; did you mean {meant}?"))
}
