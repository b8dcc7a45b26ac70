//! All targets, one a file.

use crate::target::Target;

mod batch;
mod cesql;
mod contract;
mod events;
mod http_request;
mod policy;
mod properties;
mod structured;
mod token;

/// Every target; names are unique.
pub const ALL: &[Target] = &[
    http_request::TARGET,
    structured::TARGET,
    batch::TARGET,
    cesql::TARGET,
    contract::TARGET,
    properties::TARGET,
    token::TARGET,
    policy::TARGET,
];
