//! Ten mistakes that people make, and word for word what they are told.

use super::parse;

#[test]
fn ten_typical_mistakes_are_told_in_these_words() {
    for (lines, expected) in MISTAKES {
        let (plan, problems) = parse(lines);
        assert_eq!(problems.to_string().trim_end(), expected.trim_matches('\n'), "for\n{lines}");
        assert!(plan.is_none());
    }
}

const MISTAKES: &[(&str, &str)] = &[];
