//! The extensions of one event: a short list in order of arrival, each name once.
//!
//! A list and not a map: events carry a handful of extensions, which then need no allocation and no hashing. It is
//! written out here because `SmallVec` is invariant in its lifetime: with it, nobody could add a text of his own to an
//! event that he was handed.

use std::borrow::Cow;

use crate::error::{EventError, excerpt};
use crate::names::RESERVED;
use crate::value::Value;

/// Most extensions that an event may come with. More is an error: finding a name is a linear search, which must not become a way to
/// burn a core with one request. The Java data plane has no limit.
pub const MAX_EXTENSIONS: usize = 1024;

/// So many more may be set on an event once it is read: where it was read, what the contract asks for, why it failed. An
/// event that was taken must not turn out to be none only because it has as many extensions as it may.
pub const MORE_EXTENSIONS: usize = 64;

/// How many are held without allocating.
const INLINE: usize = 8;

/// A name and its value.
type Entry<'a> = (Cow<'a, str>, Value<'a>);

/// Extensions in the order in which they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    /// Filled from the front, without gaps.
    inline: [Option<Entry<'a>>; INLINE],
    /// Empty until `inline` is full.
    rest: Vec<Entry<'a>>,
}

impl<'a> Extensions<'a> {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inline.iter().flatten().count() + self.rest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the extension called exactly `name`.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.entries().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.entries().map(|(name, value)| (name.as_ref(), value))
    }

    /// Adds an extension, or replaces the value of one that is there.
    ///
    /// # Errors
    /// For a name outside `[a-z0-9]+`, for the name of an attribute (of either version of CloudEvents), and when
    /// there are [`MAX_EXTENSIONS`] and [`MORE_EXTENSIONS`] already.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) -> Result<(), EventError> {
        let name = name.into();
        if RESERVED.contains(&name.as_ref()) {
            return Err(EventError::ReservedName { name: name.into_owned() });
        }
        self.put(name, value.into(), MAX_EXTENSIONS + MORE_EXTENSIONS)
    }

    /// Takes an extension out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value<'a>> {
        let index = self.entries().position(|(known, _)| known == name)?;
        let Some(from_here) = self.inline.get_mut(index..).filter(|slots| !slots.is_empty()) else {
            return Some(self.rest.remove(index - INLINE).1);
        };
        from_here.rotate_left(1);
        let next = if self.rest.is_empty() { None } else { Some(self.rest.remove(0)) };
        let removed = std::mem::replace(self.inline.last_mut()?, next);
        removed.map(|(_, value)| value)
    }

    /// As [`Self::set`] while an event is read: the caller knows which names are attributes, and there may be no more than
    /// [`MAX_EXTENSIONS`].
    pub(crate) fn insert(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), EventError> {
        self.put(name, value, MAX_EXTENSIONS)
    }

    fn put(&mut self, name: Cow<'a, str>, value: Value<'a>, limit: usize) -> Result<(), EventError> {
        if !is_name(&name) {
            return Err(EventError::ExtensionName { name: excerpt(&name) });
        }
        for slot in &mut self.inline {
            match slot {
                Some((known, old)) if *known == name => {
                    *old = value;
                    return Ok(());
                }
                Some(_) => {}
                None => {
                    *slot = Some((name, value));
                    return Ok(());
                }
            }
        }
        if let Some((_, old)) = self.rest.iter_mut().find(|(known, _)| *known == name) {
            *old = value;
            return Ok(());
        }
        if INLINE + self.rest.len() >= limit {
            return Err(EventError::TooManyExtensions { limit });
        }
        self.rest.push((name, value));
        Ok(())
    }

    /// The same extensions, borrowing nothing.
    pub fn into_owned(self) -> Extensions<'static> {
        let owned = |(name, value): Entry<'a>| (Cow::Owned(name.into_owned()), value.into_owned());
        Extensions { inline: self.inline.map(|slot| slot.map(owned)), rest: self.rest.into_iter().map(owned).collect() }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.inline.iter().map_while(Option::as_ref).chain(&self.rest)
    }
}

/// Lower-case ASCII letters and digits, at least one. The peer accepts an empty name too, which no header can carry
/// and which would be lost on the way.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Extensions, MAX_EXTENSIONS, MORE_EXTENSIONS};
    use crate::{EventError, Value};

    fn numbered(count: i32) -> Extensions<'static> {
        let mut extensions = Extensions::new();
        for number in 0..count {
            extensions.set(format!("x{number}"), number).unwrap();
        }
        extensions
    }

    #[test]
    fn names_are_found_replaced_and_kept_in_order_wherever_they_are_stored() {
        for count in [0, 1, 7, 8, 9, 20] {
            let mut extensions = numbered(count);
            for number in 0..count {
                let name = format!("x{number}");
                assert_eq!(extensions.get(&name), Some(&Value::from(number)));
                extensions.set(name, -number).unwrap();
            }
            let expected: Vec<_> = (0..count).map(|number| (format!("x{number}"), Value::from(-number))).collect();
            let found: Vec<_> = extensions.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
            assert_eq!(found, expected);
            assert_eq!((extensions.len(), extensions.is_empty()), (expected.len(), expected.is_empty()));
            assert_eq!(extensions.clone().into_owned(), extensions);
        }
    }

    #[test]
    fn an_event_with_as_many_extensions_as_it_may_have_takes_what_is_added_to_it() {
        let mut extensions = Extensions::new();
        for number in 0..MAX_EXTENSIONS {
            extensions.insert(format!("x{number}").into(), Value::from(1)).unwrap();
        }
        let full = EventError::TooManyExtensions { limit: MAX_EXTENSIONS };
        assert_eq!(extensions.insert("one".into(), Value::from(1)), Err(full));
        for number in 0..MORE_EXTENSIONS {
            extensions.set(format!("own{number}"), 1).unwrap();
        }
        let full = EventError::TooManyExtensions { limit: MAX_EXTENSIONS + MORE_EXTENSIONS };
        assert_eq!(extensions.set("one", 1), Err(full));
        assert_eq!(extensions.set("own0", 2), Ok(()), "a value may always be replaced");
    }

    #[test]
    fn removing_closes_the_gap() {
        for count in [1, 8, 9, 12] {
            for gone in 0..count {
                let mut extensions = numbered(count);
                assert_eq!(extensions.remove(&format!("x{gone}")), Some(Value::from(gone)));
                assert_eq!(extensions.remove("missing"), None);
                let found: Vec<_> = extensions.iter().map(|(_, value)| value.clone()).collect();
                let expected: Vec<_> = (0..count).filter(|number| *number != gone).map(Value::from).collect();
                assert_eq!(found, expected, "{gone} of {count}");
                extensions.set("last", true).unwrap();
                assert_eq!(extensions.iter().last(), Some(("last", &Value::from(true))));
            }
        }
    }

    #[test]
    fn an_event_that_was_handed_over_takes_texts_that_live_shorter() {
        fn add<'short>(mut extensions: Extensions<'short>, text: &'short str) -> usize {
            extensions.set("x", text).unwrap();
            extensions.len()
        }
        let text = String::from("short-lived");
        assert_eq!(add(Extensions::<'static>::new(), &text), 1);
    }

    #[test]
    fn only_names_of_extensions_can_be_set() {
        let mut extensions = Extensions::new();
        for name in ["", "A", "a-b", "a_b", "é", "data_base64"] {
            assert_eq!(extensions.set(name, 1), Err(EventError::ExtensionName { name: name.to_owned() }));
        }
        for name in ["id", "source", "type", "specversion", "time", "subject", "data", "dataschema", "schemaurl"] {
            assert_eq!(extensions.set(name, 1), Err(EventError::ReservedName { name: name.to_owned() }));
        }
        for name in ["a", "0", "a0", "datab"] {
            assert_eq!(extensions.set(name, 1), Ok(()));
        }
    }

    #[test]
    fn there_is_a_limit_and_replacing_still_works_at_it() {
        let limit = MAX_EXTENSIONS + MORE_EXTENSIONS;
        let mut extensions = numbered(i32::try_from(limit).unwrap());
        assert_eq!(extensions.set("more", 1), Err(EventError::TooManyExtensions { limit }));
        assert_eq!(extensions.set("x1023", 1), Ok(()));
    }
}
