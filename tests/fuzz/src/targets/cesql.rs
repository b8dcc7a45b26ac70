//! A CloudEvents SQL expression, compiled and evaluated.

use std::mem::discriminant;

use millrace_config::contract::FilterSpec;
use millrace_event::filter;
use millrace_event::filter::cesql::{Expression, Problem, Value};
use millrace_event::{Event, json};

use crate::target::{Outcome, Target};

pub(super) const TARGET: Target = Target {
    name: "cesql",
    check,
    examples: &[
        "subject = 'a' AND type LIKE 'com.%_' OR NOT EXISTS x XOR TRUE",
        "id IN ('a', \"b\", 3) AND number NOT IN (1, -2) AND yes",
        "-number * 2 + 1 <= 17 / (3 % 2) - 4",
        "CONCAT_WS('-', LEFT(id, 2), RIGHT(id, 2), SUBSTRING(subject, -2, 1)) <> UPPER(LOWER(TRIM(' x ')))",
        r"source NOT LIKE '\%\_%' AND LENGTH(id) >= ABS(INT('-5')) AND BOOL('true') AND IS_INT(hop) AND IS_BOOL(yes)",
        "LEFT(id, 1) = RIGHT(id, 1) OR SUBSTRING(id, 4) = LEFT(subject, 3) XOR LENGTH(RIGHT(id, 3)) < 4",
        "KN_VERIFY_CORRELATION_ID(id, 'a', 'b', 'c', 0, 1)",
    ],
    words: &[
        " AND ",
        " OR ",
        " XOR ",
        "NOT ",
        " LIKE ",
        " IN ",
        "EXISTS ",
        "TRUE",
        "FALSE",
        "(",
        ")",
        ", ",
        " = ",
        " != ",
        " <> ",
        " < ",
        " >= ",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        "2147483647",
        "-2147483648",
        "0",
        "'%'",
        "'_'",
        "'é😀'",
        r"\'",
        "id",
        "subject",
        "number",
        "yes",
        "hop",
        "missing",
        "offset",
        "INT(",
        "STRING(",
        "CONCAT(",
        "LEFT(",
        "RIGHT(",
        "SUBSTRING(",
        "LENGTH(",
        "ABS(",
        "UPPER(",
        "TRIM(",
        "((((((((",
        "NOT NOT NOT NOT NOT NOT ",
    ],
};

fn check(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let expression = match Expression::compile(&text, None) {
        Ok(expression) => expression,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.position), "{error}");
            assert!(filter::compile(&[FilterSpec::CeSql(text.into_owned())]).is_err());
            return Outcome::of((0, discriminant(&error.problem), error.position.min(40)));
        }
    };
    let mut outcomes = Vec::new();
    for event in events() {
        let evaluation = expression.evaluate(&event);
        let passes = expression.matches(&event);
        assert!(!passes || evaluation.error.is_none(), "an event passes in spite of an error");
        if evaluation.error.is_none()
            && let Value::Boolean(value) = evaluation.value
        {
            assert_eq!(passes, value);
        }
        check_variants(&text, &event, &evaluation);
        outcomes.push((evaluation.error.map(|error| discriminant(&error)), kind(&evaluation.value), passes));
    }
    Outcome::of((1, outcomes))
}

fn kind(value: &Value<'_>) -> u8 {
    match value {
        Value::Boolean(_) => 0,
        Value::Integer(_) => 1,
        Value::String(_) => 2,
    }
}

/// Parentheses around an expression change nothing; NOT turns its boolean around.
fn check_variants(text: &str, event: &Event<'_>, evaluation: &filter::cesql::Evaluation<'_>) {
    match Expression::compile(&format!("({text})"), None) {
        Ok(inner) => assert_eq!(&inner.evaluate(event), evaluation),
        Err(error) => assert!(matches!(error.problem, Problem::TooDeep | Problem::TooLong), "{error}"),
    }
    if let Ok(negated) = Expression::compile(&format!("NOT ({text})"), None) {
        let negated = negated.evaluate(event);
        assert!(negated.error == evaluation.error || evaluation.error.is_none());
        if let (None, Value::Boolean(value)) = (&evaluation.error, &evaluation.value) {
            assert_eq!(negated.value, Value::Boolean(!value));
        }
    }
}

fn events() -> [Event<'static>; 2] {
    let bare = br#"{"specversion":"1.0","id":"a","source":"/s","type":"com.x"}"#;
    let full = r#"{"specversion":"0.3","id":"äbc😀","source":"http://x/%25_","type":"t","subject":"a subject","schemaurl":"/s",
        "time":"2020-07-06T09:23:12.5Z","number":-17,"yes":true,"hop":"5","text":"TRUE","big":"2147483648"}"#;
    let read = |text| json::read(text).expect("an event of ours is valid").into_owned();
    let mut full = read(full.as_bytes());
    full.extensions.set("offset", 5_000_000_000_i64).expect("it is a name and there is room");
    [read(bare), full]
}
