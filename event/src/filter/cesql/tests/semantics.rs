//! What the specification leaves to the reader, and what filters do with results.

use super::super::{EvaluationError, Expression};
use super::{check, check_error, check_for, event_with};
use crate::{Event, SpecVersion};

#[track_caller]
fn check_match(event: &Event<'_>, expression: &str, expected: bool) {
    assert_eq!(Expression::compile(expression, None).unwrap().matches(event), expected, "{expression}");
}

#[test]
fn a_result_is_cast_to_a_boolean() {
    for (expression, expected) in [
        ("TRUE", true),
        ("FALSE", false),
        ("'TRUE'", true),
        ("'tRuE'", true),
        ("'FALSE'", false),
        ("1", true),
        ("-7", true),
        ("0", false),
        ("'x'", false),
        ("''", false),
        ("'1'", false),
        ("id", false),
    ] {
        check_match(&event_with(&[]), expression, expected);
    }
}

#[test]
fn an_event_does_not_match_after_an_error_whatever_the_value() {
    for expression in [
        "missing",
        "missing = 'x'",
        "missing != 'x'",
        "NOT missing",
        "NOT (missing = 'x')",
        "missing NOT LIKE 'x'",
        "missing NOT IN ('x')",
        "missing = 'x' OR TRUE",
        "TRUE XOR missing",
        "ABS(-2147483648)",
        "LEFT('true', -1)",
        "NOT UNKNOWN()",
        "(1 / 0) = 0",
        "'x' != 5",
        "NOT 'x'",
    ] {
        check_match(&event_with(&[]), expression, false);
    }
    check_match(&event_with(&[]), "TRUE OR missing = 'x'", true);
}

#[test]
fn a_missing_attribute_is_in_no_set_and_like_nothing() {
    for expression in ["missing IN ('a', 'b')", "missing IN (FALSE)", "missing LIKE 'fal%'", "missing LIKE '%'"] {
        check_error(expression, false, EvaluationError::MissingAttribute);
    }
    for expression in ["missing NOT IN ('a', 'b')", "missing NOT LIKE '%'", "'a' IN ('b', missing)"] {
        check_error(expression, false, EvaluationError::MissingAttribute);
    }
    check("'a' IN ('a', missing)", true);
}

#[test]
fn functions_of_a_missing_attribute_give_their_zero() {
    for expression in ["UPPER(missing)", "CONCAT('a', missing)", "SUBSTRING(missing, 1)", "STRING(missing)"] {
        check_error(expression, "", EvaluationError::MissingAttribute);
    }
    for expression in ["LENGTH(missing)", "ABS(missing)", "INT(missing)"] {
        check_error(expression, 0, EvaluationError::MissingAttribute);
    }
    for expression in ["IS_INT(missing)", "IS_BOOL(missing)", "BOOL(missing)"] {
        check_error(expression, false, EvaluationError::MissingAttribute);
    }
}

#[test]
fn the_left_side_is_cast_to_the_type_of_the_right_side() {
    for (expression, expected) in [
        ("'5' = 5", true),
        ("5 = '5'", true),
        ("'05' = 5", true),
        ("5 = '05'", false),
        ("1 = TRUE", true),
        ("7 = TRUE", true),
        ("TRUE = 7", false),
        ("TRUE = 'true'", true),
        ("FALSE = 0", true),
        ("'+5' = 5", true),
        ("'a' < 'b' = FALSE", false),
    ] {
        if expression.contains('<') {
            check_error(expression, expected, EvaluationError::Cast);
        } else {
            check(expression, expected);
        }
    }
    for expression in ["'x' = 0", "'x' != 0", "'' = 0", "' 5' = 5", "'2147483648' = 0", "'1' = TRUE", "'yes' = TRUE"] {
        check_error(expression, false, EvaluationError::Cast);
    }
}

#[test]
fn elements_of_a_set_are_cast_to_the_type_of_the_left_side() {
    for (expression, expected) in [
        ("5 IN ('4', '5')", true),
        ("5 NOT IN ('4', '5')", false),
        ("'5' IN (4, 5)", true),
        ("'05' IN (5)", false),
        ("TRUE IN ('true')", true),
        ("TRUE IN (0, 7)", true),
        ("'a' IN ('b', 'c')", false),
        ("'a' NOT IN ('b', 'c')", true),
        ("1 IN (3 - 2)", true),
        ("'b' IN (LOWER('B'))", true),
        ("5 IN (5, 'x')", true),
    ] {
        check(expression, expected);
    }
    check_error("5 IN ('x', 5)", false, EvaluationError::Cast);
}

#[test]
fn division_cuts_and_the_remainder_has_the_sign_of_the_dividend() {
    for (expression, expected) in
        [("-7 / 2", -3), ("7 / -2", -3), ("-7 % 2", -1), ("7 % -2", 1), ("-7 % -2", -1), ("0 / 5", 0)]
    {
        check(expression, expected);
    }
}

#[test]
fn integers_wrap_around_as_in_both_sdks() {
    for (expression, expected) in [
        ("2147483647 + 1", i32::MIN),
        ("-2147483648 - 1", i32::MAX),
        ("2147483647 * 2", -2),
        ("-(-2147483648)", i32::MIN),
        ("-2147483648 / -1", i32::MIN),
        ("-2147483648 % -1", 0),
    ] {
        check(expression, expected);
    }
}

#[test]
fn logic_binds_to_the_right_and_is_evaluated_from_the_left() {
    for (expression, expected) in [
        ("FALSE AND FALSE OR TRUE", false),
        ("TRUE OR TRUE AND FALSE", true),
        ("TRUE XOR TRUE OR TRUE", false),
        ("TRUE XOR TRUE AND FALSE", true),
        ("TRUE XOR FALSE AND missing", true),
        ("TRUE XOR TRUE OR missing", false),
        ("FALSE XOR TRUE XOR TRUE", false),
        ("TRUE XOR TRUE XOR TRUE", true),
        ("TRUE AND FALSE AND missing", false),
        ("(FALSE AND FALSE) OR TRUE", true),
        ("1 AND 'true'", true),
    ] {
        check(expression, expected);
    }
    check_error("missing AND FALSE", false, EvaluationError::MissingAttribute);
    check_error("'x' OR TRUE", false, EvaluationError::Cast);
    check_error("TRUE XOR 1 / 0", false, EvaluationError::Math);
}

#[test]
fn like_counts_characters_and_knows_no_other_wildcards() {
    for (expression, expected) in [
        ("'' LIKE ''", true),
        ("'' LIKE '%'", true),
        ("'' LIKE '%%'", true),
        ("'' LIKE '_'", false),
        ("'é😀' LIKE '__'", true),
        ("'a\nb' LIKE 'a%b'", true),
        ("'a\nb' LIKE 'a_b'", true),
        ("'abc' LIKE 'A%'", false),
        ("'abc' LIKE 'a.c'", false),
        ("'abc' LIKE '.*'", false),
        ("'aab' LIKE '%ab'", true),
        ("'abab' LIKE '%ab'", true),
        ("'abcab' LIKE 'ab%ab'", true),
        ("'ab' LIKE 'ab%ab'", false),
        ("'aXbXc' LIKE 'a%X_'", true),
        ("'aaac' LIKE '%a_c%'", true),
        ("'aaa' LIKE '%a_c%'", false),
        ("'xabyabz' LIKE '%ab_'", true),
        ("'xabyabz' LIKE '%a_y%_'", true),
        (r"'a\b' LIKE 'a\b'", true),
        (r"'a\%' LIKE 'a\\%'", true),
        (r"'a%' LIKE 'a\%'", true),
        (r"'a\' LIKE 'a\'", true),
    ] {
        // The last one is no literal: the backslash escapes the quotation mark.
        if expression.ends_with(r"\'") {
            assert!(Expression::compile(expression, None).is_err());
        } else {
            check(expression, expected);
        }
    }
}

#[test]
fn long_patterns_take_no_more_than_text_times_pattern() {
    let text = "a".repeat(20_000);
    let event = event_with(&[("mytext", super::Value::String(text.into()))]);
    let pattern = format!("{}b", "%a_".repeat(2_000));
    check_for(&event, &format!("mytext LIKE '{pattern}'"), false, None);
}

#[test]
fn texts_are_cut_between_characters() {
    let event = event_with(&[("mytext", "äö😀ü".into())]);
    check_for(&event, "LENGTH(mytext)", 4, None);
    check_for(&event, "LEFT(mytext, 3)", "äö😀", None);
    check_for(&event, "RIGHT(mytext, 2)", "😀ü", None);
    check_for(&event, "SUBSTRING(mytext, 2, 2)", "ö😀", None);
    check_for(&event, "SUBSTRING(mytext, -2, 1)", "😀", None);
    check_for(&event, "SUBSTRING(mytext, 4, 2147483647)", "ü", None);
    check_for(&event, "SUBSTRING(mytext, -4, 0)", "", None);
    check_for(&event, "UPPER(mytext)", "ÄÖ😀Ü", None);
    check_for(&event, "LOWER(UPPER(mytext))", "äö😀ü", None);
    check_for(&event, "LEFT(CONCAT(mytext, 'x'), 1)", "ä", None);
    for arguments in ["5", "-5", "1, -1", "-2147483648", "2147483647", "0, -1"] {
        check_for(&event, &format!("SUBSTRING(mytext, {arguments})"), "", Some(EvaluationError::FunctionEvaluation));
    }
}

#[test]
fn trimming_takes_white_space_and_nothing_else() {
    let event = event_with(&[("mytext", "\u{2003}\u{1}a b\u{a0}\n".into())]);
    check_for(&event, "TRIM(mytext)", "\u{1}a b", None);
}

#[test]
fn casts_can_be_tried() {
    for (expression, expected) in [
        ("IS_INT('12')", true),
        ("IS_INT('1.5')", false),
        ("IS_INT('')", false),
        ("IS_INT(12)", true),
        ("IS_INT(TRUE)", true),
        ("IS_BOOL('true')", true),
        ("IS_BOOL('yes')", false),
        ("IS_BOOL(FALSE)", true),
        ("IS_BOOL(3)", true),
    ] {
        check(expression, expected);
    }
}

#[test]
fn functions_are_told_by_name_in_any_case_and_by_number_of_arguments() {
    check("LeNgTh('ab')", 2);
    check("Concat_Ws('-', 1, TRUE)", "1-true");
    for expression in ["NOSUCH()", "LENGTH()", "LENGTH('a', 'b')", "SUBSTRING('a')", "ABS(missing, 1)", "A_B(missing)"]
    {
        check_error(expression, false, EvaluationError::MissingFunction);
    }
    check_error("KN_VERIFY_CORRELATION_ID('', '', '', '', 0, 1)", false, EvaluationError::MissingFunction);
}

#[test]
fn attributes_are_found_by_their_exact_names_and_exist_by_any() {
    let mut event = event_with(&[("subject", "s".into())]);
    event.data_content_type = Some("text/plain".into());
    check_for(&event, "Subject", false, Some(EvaluationError::MissingAttribute));
    for name in ["id", "ID", "Source", "type", "specversion", "subject", "SUBJECT", "datacontenttype"] {
        check_for(&event, &format!("EXISTS {name}"), true, None);
    }
    for name in ["time", "dataschema", "schemaurl", "missing", "0a"] {
        check_for(&event, &format!("exists {name}"), false, None);
        check_for(&event, &format!("NOT EXISTS {name}"), true, None);
    }
    check_for(&event, "specversion", "1.0", None);
    check_for(&event, "datacontenttype", "text/plain", None);
}

#[test]
fn the_schema_has_both_names_unless_an_extension_has_one() {
    for spec_version in [SpecVersion::V03, SpecVersion::V10] {
        let event = Event { spec_version, data_schema: Some("/schema".into()), ..event_with(&[]) };
        check_for(&event, "dataschema", "/schema", None);
        check_for(&event, "schemaurl", "/schema", None);
        check_for(&event, "EXISTS schemaurl AND EXISTS dataschema", true, None);
    }
    let text = br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","schemaurl":"mine","dataschema":"/schema"}"#;
    let event = crate::json::read(text).unwrap();
    check_for(&event, "schemaurl", "mine", None);
    check_for(&event, "dataschema", "/schema", None);
}

#[test]
fn an_offset_is_a_text_and_a_partition_is_a_number() {
    let mut event = event_with(&[("knativekafkapartition", 3.into())]);
    event.extensions.set("knativekafkaoffset", 5_000_000_000_i64).unwrap();
    check_for(&event, "knativekafkapartition", 3, None);
    check_for(&event, "knativekafkaoffset", "5000000000", None);
    check_for(&event, "knativekafkaoffset = '5000000000'", true, None);
    check_for(&event, "knativekafkaoffset LIKE '5%'", true, None);
    check_for(&event, "knativekafkaoffset > 5", false, Some(EvaluationError::Cast));
}
