//! Enums of the contract: written by name, read by name or number.
//!
//! A name or number that is not known means the default, as for every reader of protobuf-JSON that ignores unknown
//! things. Authentication is the exception: there an unknown value is kept, so that its entry can be refused instead
//! of falling back to plain text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

use super::json::Value;

/// How a name or number becomes a value.
trait Named: Sized {
    fn from_name(name: &str) -> Self;
    fn from_number(number: i64) -> Self;
}

struct NameOrNumber<T>(PhantomData<T>);

impl<T: Named> Visitor<'_> for NameOrNumber<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name or number of an enum value")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Ok(T::from_name(name))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        Ok(T::from_number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::from_number(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

macro_rules! value_impl {
    ($type:ident) => {
        impl Value for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(NameOrNumber(PhantomData))
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

/// Enums whose first value also stands for everything unknown.
macro_rules! open_enums {
    ($( $(#[$meta:meta])* $type:ident { $( $(#[$vmeta:meta])* $variant:ident = $number:literal $name:literal, )* } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $type { $( $(#[$vmeta])* $variant, )* }

        impl $type {
            fn name(&self) -> &str {
                match self { $( Self::$variant => $name, )* }
            }
        }

        impl Named for $type {
            fn from_name(name: &str) -> Self {
                match name { $( $name => Self::$variant, )* _ => Self::default() }
            }

            fn from_number(number: i64) -> Self {
                match number { $( $number => Self::$variant, )* _ => Self::default() }
            }
        }

        value_impl!($type);
    )* };
}

open_enums! {
    /// How records are laid out.
    ContentMode {
        /// Attributes in headers.
        #[default] Binary = 0 "BINARY",
        /// One JSON document.
        Structured = 1 "STRUCTURED",
    }
    /// How pauses between attempts grow.
    BackoffPolicy {
        /// Doubling.
        #[default] Exponential = 0 "Exponential",
        /// By the same amount.
        Linear = 1 "Linear",
    }
    /// Whether records of a partition wait for each other.
    DeliveryOrder {
        /// They do not.
        #[default] Unordered = 0 "UNORDERED",
        /// They do.
        Ordered = 1 "ORDERED",
    }
    /// What the keys of plain records are.
    KeyType {
        /// UTF-8 text.
        #[default] String = 0 "String",
        /// 32-bit integer.
        Integer = 1 "Integer",
        /// Floating point number.
        Double = 2 "Double",
        /// Bytes.
        ByteArray = 3 "ByteArray",
    }
}

/// Enums that keep what they do not know.
macro_rules! closed_enums {
    ($( $(#[$meta:meta])* $type:ident { $( $(#[$vmeta:meta])* $variant:ident = $number:literal $name:literal, )* } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub enum $type {
            $( $(#[$vmeta])* $variant, )*
            /// A name or number this version does not know.
            Unrecognised(String),
        }

        impl $type {
            /// The name in the file.
            pub fn name(&self) -> &str {
                match self { $( Self::$variant => $name, )* Self::Unrecognised(found) => found }
            }
        }

        impl Named for $type {
            fn from_name(name: &str) -> Self {
                match name { $( $name => Self::$variant, )* _ => Self::Unrecognised(name.to_owned()) }
            }

            fn from_number(number: i64) -> Self {
                match number { $( $number => Self::$variant, )* _ => Self::Unrecognised(number.to_string()) }
            }
        }

        value_impl!($type);
    )* };
}

closed_enums! {
    /// How brokers are spoken to.
    Protocol {
        /// No encryption, no authentication.
        #[default] Plaintext = 0 "PLAINTEXT",
        /// Authentication without encryption.
        SaslPlaintext = 1 "SASL_PLAINTEXT",
        /// TLS.
        Ssl = 2 "SSL",
        /// Authentication inside TLS.
        SaslSsl = 3 "SASL_SSL",
    }
    /// What the value of a Secret's key means. The first is the default, so its `field` is absent in the file.
    SecretField {
        /// Name of the SASL mechanism.
        #[default] SaslMechanism = 0 "SASL_MECHANISM",
        /// PEM certificates of authorities.
        CaCrt = 1 "CA_CRT",
        /// PEM client certificate.
        UserCrt = 2 "USER_CRT",
        /// PEM client key.
        UserKey = 3 "USER_KEY",
        /// User name.
        User = 4 "USER",
        /// Password.
        Password = 5 "PASSWORD",
        /// Kind of credentials; unused.
        Type = 6 "TYPE",
        /// Name of a token provider; unused.
        TokenProvider = 7 "TOKEN_PROVIDER",
        /// Amazon role; unused.
        RoleArn = 8 "ROLE_ARN",
    }
}
