//! What is refused when a plan is made, and in which words.

use super::bound;

fn refused(text: &str) -> String {
    match bound(text, "UTC", true) {
        Ok((expr, _)) => panic!("{text} was taken: {expr:?}"),
        Err(said) => said,
    }
}

#[test]
fn an_unknown_function_is_refused_with_the_nearest_name() {
    assert!(refused("SUBSTRNG('a', 1)").contains("SUBSTRING"));
    assert!(refused("FROBNICATE(1)").contains("FROBNICATE"));
}

#[test]
fn wrong_arguments_are_refused_with_the_known_signatures() {
    let said = refused("LPAD('a')");
    assert!(said.contains("LPAD(STRING, INT, STRING)") && said.contains("(CHAR(1))"), "{said}");
    let said = refused("ROUND(ARRAY[1])");
    assert!(said.contains("ROUND(NUMERIC"), "{said}");
}

#[test]
fn what_the_regex_engine_lacks_is_refused_by_name() {
    for (pattern, what) in [
        ("a(?=b)", "look-ahead"),
        ("(?<!a)b", "look-behind"),
        (r"(a)\1", "back-reference"),
        ("a++", "possessive"),
        ("(?>a)", "atomic"),
        ("(", "wrong"),
    ] {
        let said = refused(&format!("REGEXP('x', '{pattern}')"));
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn letters_of_time_patterns_that_are_not_known_are_refused_by_name() {
    let said = refused("DATE_FORMAT(TIMESTAMP '2020-01-01 00:00:00', 'yyyy-bb')");
    assert!(said.contains("bb"), "{said}");
    assert!(refused("JSON_VALUE('{}', '$..a')").contains("not supported"));
    let said = refused("JSON_QUERY('{}', '$.a[?(@.b == \"]\")].c')");
    assert!(said.contains("has a filter, which is not supported"), "{said}");
    assert!(refused("EXTRACT(MOON FROM DATE '2020-01-01')").contains("MOON"));
}

#[test]
fn casts_that_there_are_not_are_refused_with_both_types() {
    let said = refused("CAST(DATE '2020-01-01' AS INT)");
    assert!(said.contains("DATE") && said.contains("INT"), "{said}");
    assert!(refused("CAST(1 AS TIMESTAMP(3))").contains("TO_TIMESTAMP_LTZ"));
}
