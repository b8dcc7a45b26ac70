//! The exact shape of an index: what is in the place of a contract that one ConfigMap cannot hold.
//!
//! `resources` is a text here, which no reader of contracts takes: one that does not know of shards refuses the file and
//! keeps what it had, instead of taking a part for the whole.

super::json::messages! {
    /// The whole file.
    Index {
        /// Of the contract. Changes with every change of the content.
        "generation" => generation: u64,
        /// For people; see above.
        "resources" => notice: String,
        /// Files beside this one that together have the resources.
        "shards" => shards: Vec<Shard>,
        /// PEM texts.
        "trustBundles" => trust_bundles: Vec<String>,
    }
    /// One file.
    Shard {
        /// Part of the file's name.
        "number" => number: u32,
        /// Of the file's bytes, in lower-case hexadecimal digits.
        "sha256" => sha256: String,
    }
}
