//! What conditions say of something that did not work.

/// Why something is not ready, in the words of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Short, as upstream words it.
    pub reason: String,
    /// For a person.
    pub message: String,
}
