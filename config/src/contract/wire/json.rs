//! The protobuf-JSON mapping: how values look in the contract file, and a macro that writes messages down once.
//!
//! serde's derived code cannot be used for reading: it takes arrays for structs, refuses `null`, and does not say in
//! which field an error is. The mapping's rules: `null` is the default; numbers may be texts; unknown fields are
//! skipped; values equal to the default are left out when writing; 64-bit integers are written as texts.
//!
//! Source: protobuf's "ProtoJSON format"; where Java and Go differ, what either accepts is accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

/// Begins an error text that already says in which field it is.
const LOCATED: char = '\u{1}';

/// A value of a message's field. The default is what an absent field means.
pub(crate) trait Value: Default + PartialEq {
    /// Reads anything but `null`.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Reads a field's value; `null` stands for the default.
pub(crate) struct Field<T>(PhantomData<T>);

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Field<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Value> Visitor<'de> for Field<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

/// Reads the value of field `name`, whose errors then say so.
pub(crate) fn field<'de, T: Value, A: MapAccess<'de>>(map: &mut A, name: &str) -> Result<T, A::Error> {
    map.next_value_seed(Field::default()).map_err(|error| located(name, &error))
}

/// Skips the value of a field that is not known.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

fn located<E: serde::de::Error>(place: &str, error: &E) -> E {
    let text = error.to_string();
    match text.strip_prefix(LOCATED) {
        Some(inner) if inner.starts_with('[') => E::custom(format_args!("{LOCATED}{place}{inner}")),
        Some(inner) => E::custom(format_args!("{LOCATED}{place}.{inner}")),
        None => E::custom(format_args!("{LOCATED}{place}: {text}")),
    }
}

/// Takes an error text apart: the field, if it says one, and the rest.
pub(crate) fn field_and_message(text: &str) -> (&str, &str) {
    text.strip_prefix(LOCATED).and_then(|located| located.split_once(": ")).unwrap_or(("contract", text))
}

/// Writes a field unless it has its default value.
pub(crate) fn entry<T: Value, M: SerializeMap>(map: &mut M, name: &'static str, value: &T) -> Result<(), M::Error> {
    if *value == T::default() { Ok(()) } else { map.serialize_entry(name, &Written(value)) }
}

struct Written<'a, T>(&'a T);

impl<T: Value> serde::Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// Refuses a message with two set members of one oneof, as every protobuf-JSON reader does: which one was meant cannot
/// be known, and a wrong guess may mean no authentication.
pub(crate) fn at_most_one<E: serde::de::Error>(members: &[(&str, bool)]) -> Result<(), E> {
    let mut set = members.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    match (set.next(), set.next()) {
        (Some(first), Some(second)) => Err(E::custom(format_args!("only one of {first} and {second} may be set"))),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Declares messages: a struct with public fields, its reading and its writing. The names are those of the file; those
/// after `oneof` exclude one another.
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $message:ident $( oneof[ $( $member_name:literal $member:ident ),* ] )? {
            $( $(#[$field_meta:meta])* $name:literal => $field:ident: $type:ty, )*
        }
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $message { $( $(#[$field_meta])* pub $field: $type, )* }

        impl $crate::contract::wire::json::Value for $message {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $message;
                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }
                    #[allow(unused_mut, unused_variables, reason = "a message may have no fields")]
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$message, A::Error> {
                        let mut message = $message::default();
                        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                            match name.as_ref() {
                                $( $name => {
                                    message.$field = $crate::contract::wire::json::field(&mut map, $name)?;
                                } )*
                                _ => $crate::contract::wire::json::skip(&mut map)?,
                            }
                        }
                        $( $crate::contract::wire::json::at_most_one(
                            &[ $( ($member_name, message.$member.is_some()) ),* ]
                        )?; )?
                        Ok(message)
                    }
                }
                deserializer.deserialize_map(Fields)
            }

            #[allow(unused_mut, reason = "a message may have no fields")]
            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $( $crate::contract::wire::json::entry(&mut map, $name, &self.$field)?; )*
                map.end()
            }
        }
    )* };
}
pub(crate) use messages;

impl Value for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl Value for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self)
    }
}

/// A set field, whatever its value: how messages and members of a oneof tell "absent" from "empty".
impl<T: Value> Value for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Some)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write(serializer),
            None => serializer.serialize_unit(),
        }
    }
}

impl<T: Value> Value for Box<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self::new)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().write(serializer)
    }
}

impl<T: Value> Value for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Written))
    }
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        loop {
            let item = seq.next_element_seed(Element(PhantomData));
            match item.map_err(|error| located(&format!("[{}]", items.len()), &error))? {
                Some(item) => items.push(item),
                None => return Ok(items),
            }
        }
    }
}

/// Reads an element of a list or map, where `null` is not allowed.
struct Element<T>(PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for Element<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, Written(value))))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for Entries<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<String, T>, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Element(PhantomData)).map_err(|error| located(&key, &error))?;
            if entries.insert(key, value).is_some() {
                return Err(A::Error::custom("a key appears twice"));
            }
        }
        Ok(entries)
    }
}
