//! What an evaluation may cost.

use super::super::{EvaluationError, MAX_TEXT_BYTES};
use super::{Value, check_for, event_with};

#[test]
fn a_text_that_would_be_too_long_is_an_error() {
    let event = event_with(&[("mytext", Value::String("a".repeat(MAX_TEXT_BYTES / 4).into()))]);
    check_for(&event, "LENGTH(CONCAT(mytext, mytext, mytext, mytext))", i32::try_from(MAX_TEXT_BYTES).unwrap(), None);
    let failed = Some(EvaluationError::FunctionEvaluation);
    check_for(&event, "CONCAT(mytext, mytext, mytext, mytext, 'a')", "", failed);
    check_for(&event, "CONCAT_WS('-', mytext, mytext, mytext, mytext)", "", failed);
    check_for(&event, "LENGTH(CONCAT(mytext, mytext, mytext, mytext, mytext))", 0, failed);
}
