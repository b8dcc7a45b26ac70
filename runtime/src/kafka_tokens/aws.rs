//! The little of Amazon that signing in to its brokers needs: who we are, roles, and signatures.
//!
//! Source: AWS Signature Version 4; the documented order in which Amazon's clients look for credentials.

pub(super) mod identity;
pub(super) mod roles;
pub(super) mod signature;
