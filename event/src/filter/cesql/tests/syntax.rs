//! What is an expression and what is not, and what is said about the latter.

use super::super::{Expression, MAX_DEPTH, MAX_EXPRESSION_BYTES, ParseError, Problem};
use super::{check, check_for, event_with};

#[test]
fn operators_bind_by_precedence() {
    for (expression, expected) in [
        ("NOT TRUE = FALSE", true),
        ("NOT (TRUE = FALSE)", true),
        ("NOT FALSE = TRUE", true),
        ("NOT 1 = 1", false),
        ("NOT TRUE LIKE 'fal%'", true),
        ("NOT TRUE IN (FALSE)", true),
        ("NOT EXISTS missing", true),
        ("NOT NOT TRUE", true),
        ("1 + 1 = 2", true),
        ("2 = 1 + 1", true),
        ("1 + 2 < 2 * 2", true),
        ("1 < 2 = TRUE", true),
        ("3 > 2 > 0", true),
        ("1 = 1 AND 2 = 2", true),
        ("'a' LIKE 'a' LIKE 'true'", true),
        ("'a' LIKE 'b' IN (FALSE)", true),
        ("1 IN (1) LIKE 't%'", true),
    ] {
        check(expression, expected);
    }
    for (expression, expected) in [
        ("10 - 4 - 3", 3),
        ("100 / 10 / 2", 5),
        ("100 / 10 * 2", 20),
        ("7 - 5 % 3", 5),
        ("- 3 + 4", 1),
        ("12 * 2 LIKE '2'", 12),
        ("-(2) * 3", -6),
    ] {
        check(expression, expected);
    }
}

#[test]
fn blanks_may_stand_anywhere_between_tokens() {
    check(" \t\r\n( 1+ 1 )\n=\t2 ", true);
    check("TRUE AND(NOT(FALSE))", true);
    check("'a'IN('a','b')", true);
    check("LENGTH ( 'ab' )", 2);
    check("2*3", 6);
    check("4- 1", 3);
}

#[test]
fn a_doubled_quotation_mark_and_other_backslashes_stay() {
    check("'it''s'", "it''s");
    check(r"'a\b\\'", r"a\b\\");
    check(r#"'\"'"#, r#"\""#);
    check(r#""\'""#, r"\'");
    check("'é😀'", "é😀");
}

#[test]
fn integers_may_have_leading_zeros_and_signs() {
    check("007", 7);
    check("+5", 5);
    check("-2147483648", i32::MIN);
    check("2147483647", i32::MAX);
}

#[test]
fn names_may_begin_with_digits_and_look_like_keywords() {
    let event = event_with(&[("2nd", "x".into()), ("android", 1.into()), ("left", 2.into()), ("order", 3.into())]);
    check_for(&event, "2nd = 'x'", true, None);
    check_for(&event, "android + left + order", 6, None);
    check_for(&event, "LEFT(left, left) = '2'", true, None);
}

#[track_caller]
fn check_parse(expression: &str, position: usize, problem: &Problem) {
    let error = Expression::compile(expression, None).unwrap_err();
    assert_eq!(error, ParseError { position, problem: problem.clone() }, "{expression}");
}

#[test]
fn what_is_missing_or_too_much_is_named_with_its_place() {
    let expression = "an attribute, a value, a function or (";
    let operator = "an operator or the end";
    let end = |expected| Problem::End { expected };
    let unexpected = |expected, found: &str| Problem::Unexpected { expected, found: found.into() };
    for (text, position, problem) in [
        ("", 1, end(expression)),
        ("  ", 3, end(expression)),
        ("id =", 5, end(expression)),
        ("(id", 4, end("an operator or )")),
        ("id)", 3, unexpected(operator, ")")),
        ("()", 2, unexpected(expression, ")")),
        ("id id", 4, unexpected(operator, "id")),
        ("'é' id", 5, unexpected(operator, "id")),
        ("AND id", 1, unexpected(expression, "AND")),
        ("id AND OR id", 8, unexpected(expression, "OR")),
        ("id LIKE", 8, end("a text in quotation marks")),
        ("id LIKE id", 9, unexpected("a text in quotation marks", "id")),
        ("id LIKE 5", 9, unexpected("a text in quotation marks", "5")),
        ("id LIKE 'a' 'b'", 13, unexpected(operator, "'b'")),
        ("id NOT", 7, end("LIKE or IN")),
        ("id NOT = 5", 8, unexpected("LIKE or IN", "=")),
        ("id IN", 6, end("(")),
        ("id IN ()", 8, unexpected(expression, ")")),
        ("id IN ('a'", 11, end(", or )")),
        ("id IN ('a',)", 12, unexpected(expression, ")")),
        ("id IN 'a'", 7, unexpected("(", "'a'")),
        ("EXISTS", 7, end("the name of an attribute")),
        ("EXISTS (id)", 8, unexpected("the name of an attribute", "(")),
        ("EXISTS 'id'", 8, unexpected("the name of an attribute", "'id'")),
        ("MY_FUN", 7, end("(")),
        ("ABS(1", 6, end(", or )")),
        ("ABS(1 2)", 7, unexpected(", or )", "2")),
        ("* 5", 1, unexpected(expression, "*")),
        ("+ 5", 1, unexpected(expression, "+")),
        ("1 == 2", 4, unexpected(expression, "=")),
    ] {
        check_parse(text, position, &problem);
    }
}

#[test]
fn what_is_no_token_is_named_with_its_place() {
    for (text, position, found) in [
        ("id ! = 1", 4, '!'),
        ("id = #", 6, '#'),
        ("ä = 1", 1, 'ä'),
        ("a.b = 1", 2, '.'),
        ("id = `x`", 6, '`'),
        ("a\u{a0}", 2, '\u{a0}'),
    ] {
        check_parse(text, position, &Problem::Character { found });
    }
    check_parse("id = 'abc", 6, &Problem::OpenText { quote: '\'' });
    check_parse(r#"id = "abc'"#, 6, &Problem::OpenText { quote: '"' });
    check_parse(r"'abc\'", 1, &Problem::OpenText { quote: '\'' });
    check_parse(r"'abc\", 1, &Problem::OpenText { quote: '\'' });
    check_parse("'abc''", 1, &Problem::OpenText { quote: '\'' });
    check_parse("1 + 2147483648", 5, &Problem::IntegerRange { found: "2147483648".into() });
    check_parse("-2147483649", 1, &Problem::IntegerRange { found: "-2147483649".into() });
    for name in ["my_ext1", "_a", "1_a", "__"] {
        check_parse(&format!("id = {name}"), 6, &Problem::Name { found: name.into() });
    }
    check_parse("id = F1('a')", 6, &Problem::Name { found: "F1".into() });
}

#[test]
fn a_sign_directly_before_a_digit_belongs_to_the_number() {
    check("4 - 1", 3);
    check("4 + 1", 5);
    check_parse("4 -1", 3, &Problem::SignedNumber { found: "-1".into() });
    check_parse("4-1", 2, &Problem::SignedNumber { found: "-1".into() });
    check_parse("a +1 = 2", 3, &Problem::SignedNumber { found: "+1".into() });
}

#[test]
fn errors_read_as_sentences() {
    let say = |text: &str| Expression::compile(text, None).unwrap_err().to_string();
    assert_eq!(say("id = 'x"), "at character 6: the text that begins here has no closing '");
    assert_eq!(
        say("4 -1"),
        "at character 3: \"-1\" is a number of its own: to add or subtract, put a blank after the sign"
    );
    assert_eq!(say("id @"), "at character 4: '@' has no meaning here");
}

#[test]
fn length_and_depth_are_bounded() {
    let blanks = " ".repeat(MAX_EXPRESSION_BYTES - 4);
    assert!(Expression::compile(&format!("TRUE{blanks}"), None).is_ok());
    check_parse(&format!("TRUE {blanks}"), 1, &Problem::TooLong);
    let nested = |open: &str, depth: usize, close: &str| format!("{}TRUE{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("(", ")"), ("NOT ", ""), ("- ", ""), ("BOOL(", ")"), ("TRUE IN (", ")"), ("TRUE AND (", ")")]
    {
        assert!(Expression::compile(&nested(open, MAX_DEPTH - 1, close), None).is_ok(), "{open}");
        let error = Expression::compile(&nested(open, MAX_DEPTH + 1, close), None).unwrap_err();
        assert_eq!(error.problem, Problem::TooDeep, "{open}");
        let error = Expression::compile(&nested(open, 5_000, close), None).unwrap_err();
        assert_eq!(error.problem, Problem::TooDeep, "{open}");
    }
    for chain in [" + 1", " = 1", " LIKE 'a'", " IN (1)"] {
        assert!(Expression::compile(&format!("1{}", chain.repeat(MAX_DEPTH - 1)), None).is_ok(), "{chain}");
        let error = Expression::compile(&format!("1{}", chain.repeat(MAX_DEPTH)), None).unwrap_err();
        assert_eq!(error.problem, Problem::TooDeep, "{chain}");
    }
}

#[test]
fn a_chain_of_logic_may_be_long() {
    check(&format!("{}TRUE", "FALSE OR ".repeat(5_000)), true);
    check(&format!("{}FALSE", "TRUE XOR ".repeat(5_001)), true);
}
