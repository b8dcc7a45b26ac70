//! A reading of variables in progress: problems are collected, and a stand-in is used until the end.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Env, EnvError, EnvErrors};

pub(super) struct Reading<'a> {
    env: &'a dyn Env,
    errors: Vec<EnvError>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(env: &'a dyn Env) -> Self {
        Self { env, errors: Vec::new() }
    }

    /// The value, unless it is blank.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        self.env.get(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn or(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// The value; an error if there is none.
    pub(super) fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.error(name, "is required");
            String::new()
        })
    }

    pub(super) fn required_path(&mut self, name: &str) -> PathBuf {
        PathBuf::from(self.required(name))
    }

    pub(super) fn path_or(&self, name: &str, default: &str) -> PathBuf {
        PathBuf::from(self.or(name, default))
    }

    /// Only `true`, in any case, is true; `1` and `yes` are not, as for the peer.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.optional(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// An absolute http or https URL; `None` if the variable is not set, an error if it is something else.
    pub(super) fn http_url(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name)?.trim().to_owned();
        let url = value.parse::<http::Uri>().ok();
        let is_url = url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")));
        if !is_url {
            self.error(name, format!("{value:?} is not an http or https URL"));
        }
        is_url.then_some(value)
    }

    /// A number; `None` if the variable is not set, an error if it is something else.
    pub(super) fn number<T: FromStr + Display + Bounded>(&mut self, name: &str) -> Option<T> {
        let value = self.optional(name)?;
        let number = value.trim().parse().ok();
        if number.is_none() {
            self.error(name, format!("{value:?} is not a whole number from 0 to {}", T::MAX));
        }
        number
    }

    /// A number that must be there.
    pub(super) fn required_number<T: FromStr + Display + Bounded + Default>(&mut self, name: &str) -> T {
        if self.optional(name).is_none() {
            self.error(name, "is required");
        }
        self.number(name).unwrap_or_default()
    }

    pub(super) fn error(&mut self, name: &str, problem: impl Into<String>) {
        self.errors.push(EnvError { name: name.to_owned(), problem: problem.into() });
    }

    /// The result with stand-ins where there were problems, and the problems.
    pub(super) fn finish_anyway<T>(self, result: T) -> (T, Vec<EnvError>) {
        (result, self.errors)
    }

    /// The result, if there was no problem.
    pub(super) fn finish<T>(self, result: T) -> Result<T, EnvErrors> {
        if self.errors.is_empty() { Ok(result) } else { Err(EnvErrors(self.errors)) }
    }
}

/// Unsigned numbers, for messages.
pub(super) trait Bounded {
    const MAX: Self;
}

impl Bounded for u16 {
    const MAX: Self = u16::MAX;
}

impl Bounded for u32 {
    const MAX: Self = u32::MAX;
}
